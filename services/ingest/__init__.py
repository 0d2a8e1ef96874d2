"""Ingest: takes in what a hospital sends, and starts a case.

Identity zone. Answers `IngestService` to the gateway; listens for DICOM (`dimse`) and HL7 v2
(`mllp`); publishes `case.received`; consumes `case.stopped`; calls consent. Pure: `dicom`,
`elements`, `archive`, `slides`, `bundle`, `patient`, `order`, `studies`, `submission`, `limits`,
`hl7v2`, `csv_results`, `results`, `uploaded`. Edges: `service`, `worker`, `peers`, `store`,
`dimse`, `mllp`; `admission` runs a submission through them.
"""
