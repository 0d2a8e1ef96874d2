"""Labs: interprets laboratory results against ranges and critical limits, computes scores.

Analysis zone. Consumes `part.labs` and `part.forgotten.all`; publishes `finding.labs` and
`finding.critical`; answers `LabsService`; calls nobody. Pure: everything but the edges
`worker`, `service` and `store`.
"""
