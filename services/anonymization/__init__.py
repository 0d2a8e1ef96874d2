"""Anonymization: removes identity from a case, and alone knows the way back.

Identity zone. Consumes `case.received` and `case.stopped`; publishes `part.imaging`,
`part.labs`, `part.nlp`, `case.deidentified` and `case.stopped`; answers
`AnonymizationService`; calls `ConsentService`. Pure: `ps315 pseudonyms dates vocabulary
profile disposition burned_in known fhir_* text`. Edges: `worker`, `service`, `peers`, `store`.
"""
