"""Every address of the gateway, with the right it needs. What is not here is not served."""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.dicomweb import stow
from services.gateway.fhir import consent, metadata, read, searching, submit
from services.gateway.ops import audit, cases, cds, dead, status
from services.gateway.web import case_page, review, session, worklist

FHIR = (
    Entry("/fhir", "POST", Action.SUBMIT, submit.submit, (("", "transaction"),)),
    Entry("/fhir/", "POST", Action.SUBMIT, submit.submit),
    Entry("/fhir/metadata", "GET", Action.METADATA, metadata.metadata),
    Entry("/fhir/Consent", "POST", Action.WRITE_CONSENT, consent.create, (("Consent", "create"),)),
    Entry(
        "/fhir/Consent/{id}",
        "PUT",
        Action.WRITE_CONSENT,
        consent.update,
        (("Consent", "update"),),
    ),
    Entry("/fhir/{type}", "GET", Action.READ, searching.search, (("*", "search-type"),)),
    Entry("/fhir/{type}/_search", "POST", Action.READ, searching.search),
    Entry("/fhir/{type}/{id}", "GET", Action.READ, read.read, (("*", "read"),)),
    Entry(
        "/fhir/{type}/{id}/_history/{version}", "GET", Action.READ, read.vread, (("*", "vread"),)
    ),
)

DICOMWEB = (
    Entry("/dicom-web/studies", "POST", Action.UPLOAD, stow.store),
    Entry("/dicom-web/studies/{study}", "POST", Action.UPLOAD, stow.store),
)

OPS = (
    Entry("/ops/status", "GET", Action.OPERATE, status.status),
    Entry("/ops/cases", "GET", Action.OPERATE, cases.list_cases),
    Entry("/ops/cases/{id}", "GET", Action.OPERATE, cases.show_case),
    Entry("/ops/cases/{id}/cancel", "POST", Action.OPERATE, cases.cancel_case),
    Entry("/ops/dead", "GET", Action.OPERATE, dead.list_dead),
    Entry("/ops/dead/{sequence}", "GET", Action.OPERATE, dead.show_dead),
    Entry("/ops/dead/{sequence}/retry", "POST", Action.OPERATE, dead.retry_dead),
    Entry("/ops/cds", "GET", Action.OPERATE, cds.feedback),
    Entry("/ops/audit", "GET", Action.AUDIT, audit.audit_rows),
)

WEB = (
    Entry("/", "GET", Action.REVIEW, worklist.home),
    Entry("/worklist", "GET", Action.REVIEW, worklist.worklist),
    Entry("/worklist/rows", "GET", Action.REVIEW, worklist.rows),
    Entry("/cases/{id}", "GET", Action.REVIEW, case_page.case_page),
    Entry("/cases/{id}/images/{version}/{image}", "GET", Action.REVIEW, case_page.image),
    Entry("/cases/{id}/draft", "POST", Action.REVIEW, review.save_draft),
    Entry("/cases/{id}/sign", "POST", Action.REVIEW, review.sign),
    Entry("/sign-out", "POST", Action.REVIEW, session.sign_out),
)

ENTRIES = (*FHIR, *DICOMWEB, *OPS, *WEB)
