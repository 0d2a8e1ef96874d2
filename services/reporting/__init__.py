"""Reporting: joins the parts of a case, composes the report, keeps its versions and signatures.

Analysis zone. Consumes `case.deidentified`, `finding.*` and `case.stopped`; publishes
`report.composed`, `report.signed` and `feedback.given`; answers `ReportingService`; calls
nobody. Pure: everything but the edges `worker`, `service` and `store`.

`join` decides when a version is due; `compose` turns the parts into a FHIR R4 Bundle, with
one module per topic; `signing` holds the rules of a signature. `docs/report.md` shows the Bundle.
"""
