"""Notes: reads clinical notes in Chinese and English: sections, mentions, negation, a summary.

Analysis zone. Consumes `part.nlp`; publishes `finding.nlp`; answers `NlpService`; calls nobody.
Pure: `notes tables tokens phrases passages headings sections terms acts found allergens measured
unlisted entities doses durations triggers context english chinese reading sides timeline stopped chart
wording summary findings desk`.
Edges: `worker`, `service`.
"""
