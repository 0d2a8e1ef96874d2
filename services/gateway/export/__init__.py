"""Bulk Data 2: $export jobs that survive a restart, and the NDJSON files they write.

`request` reads what is asked for, `selection` decides what of the store belongs in it, `job` is
a job and its manifest, `worker` writes the files, `handlers` is the HTTP.

Source: HL7 FHIR Bulk Data Access 2.0.0.
"""
