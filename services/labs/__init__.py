"""Labs: interprets laboratory results against ranges and critical limits, computes scores.

Analysis zone. Consumes `part.labs`; publishes `finding.labs`; answers `LabsService`; calls
nobody. Pure: `tables analytes units reasons panel lenient ranges critical qualitative interpret
scores blood_gas blood_gas_gaps rules findings`. Edges: `worker`, `service`.
"""
