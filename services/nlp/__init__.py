"""Notes: reads clinical notes in Chinese and English: sections, mentions, negation, a summary.

Analysis zone. Consumes `part.nlp`; publishes `finding.nlp`; answers `NlpService`; calls nobody.
Pure: `notes tables tokens phrases passages headings sections terms acts found allergens measured
unlisted entities doses durations triggers clauses behind chinese english_clauses english context
details amounts procedures values content reading sides timeline stopped chart wording summary
stated findings desk`.
Edges: `worker`, `service`.
"""
