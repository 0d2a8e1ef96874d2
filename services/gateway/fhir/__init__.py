"""FHIR R4 over HTTP: one file per interaction, and the tables they share."""
