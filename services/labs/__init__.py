"""Labs: interprets laboratory results against ranges and critical limits, computes scores.

Analysis zone. Consumes `part.labs`; publishes `finding.labs`; answers `LabsService`; calls
nobody. Pure: `tables analytes units reasons observations own_range ranges critical interpret
scores assess risks findings`. Edges: `worker`, `service`.
"""
