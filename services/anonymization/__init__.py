"""Anonymization: removes identity from a case, and alone knows the way back.

Identity zone. Consumes `case.received`, `case.stopped` and `consent.withdrawn`; publishes
`part.imaging`, `part.labs`, `part.nlp`, `part.forgotten.all`, `case.deidentified` and
`case.stopped`; answers `AnonymizationService`; calls `ConsentService`. Pure: `ps315 profile
values fields files marks vocabulary codes known pseudonyms dates dicom_identity disposition
pixels codestream instance clinical denial fhir_identity fhir_rules fhir_notes submission
identity work archive text`. Edges: `worker service peers store`.
"""
