"""Ingest: takes in what a hospital sends, and starts a case.

Identity zone. Answers `IngestService` to the gateway; publishes `case.received`; consumes
`case.stopped`; calls consent. Pure: `dicom`, `elements`, `archive`, `bundle`, `patient`,
`order`, `studies`, `submission`, `limits`. Edges: `service`, `worker`, `peers`, `store`;
`admission` runs a submission through them.
"""
