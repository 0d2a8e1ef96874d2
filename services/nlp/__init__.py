"""Notes: reads clinical notes in Chinese and English: sections, mentions, negation, a summary.

Analysis zone. Consumes `part.nlp`; publishes `finding.nlp`; answers `NlpService`; calls nobody.
Pure: `notes tables tokens phrases passages sections terms entities doses triggers context
english chinese reading summary findings`. Edges: `worker`, `service`.
"""
