"""The gateway: FHIR, DICOMweb, the operator's JSON and the review pages, over one store.

Consumes  case.received, case.deidentified, finding.*, finding.critical, report.composed,
          report.signed, case.stopped, consent.withdrawn
Publishes case.stopped
Calls     ingest (SubmitCase, StoreInstances), anonymization (Reidentify, RedactText),
          reporting (SignReport), consent (RecordConsent)
Serves    HTTP, and dxmesh.gateway.v1.GatewayService over gRPC

It belongs to the identity zone: what it stores is encrypted under the tenant's key.
"""
