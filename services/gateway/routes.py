"""Every address of the gateway, with the right it needs. What is not here is not served."""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.dicomweb.routes import DICOMWEB
from services.gateway.export.routes import ENTRIES as EXPORT
from services.gateway.fhir.conformance import ENTRIES as CONFORMANCE
from services.gateway.fhir.routes import FHIR
from services.gateway.ops import audit, cases, cds, dead, ehr, imaging, status
from services.gateway.smart import launch, registry
from services.gateway.subscriptions.routes import ENTRIES as SUBSCRIPTIONS
from services.gateway.web import case_page, critical, review, session, viewer, worklist

OPS = (
    Entry("/ops/status", "GET", Action.OPERATE, status.status),
    Entry("/ops/cases", "GET", Action.OPERATE, cases.list_cases),
    Entry("/ops/cases/{id}", "GET", Action.OPERATE, cases.show_case),
    Entry("/ops/cases/{id}/cancel", "POST", Action.OPERATE, cases.cancel_case),
    Entry("/ops/ehr", "GET", Action.OPERATE, ehr.list_writes),
    Entry("/ops/ehr/{id}/retry", "POST", Action.OPERATE, ehr.retry_write),
    Entry("/ops/dead", "GET", Action.OPERATE, dead.list_dead),
    Entry("/ops/dead/{sequence}", "GET", Action.OPERATE, dead.show_dead),
    Entry("/ops/dead/{sequence}/retry", "POST", Action.OPERATE, dead.retry_dead),
    Entry("/ops/models", "GET", Action.OPERATE, imaging.list_models),
    Entry("/ops/imaging/{study}", "GET", Action.OPERATE, imaging.explain),
    Entry("/ops/cds", "GET", Action.OPERATE, cds.feedback),
    Entry("/ops/audit", "GET", Action.AUDIT, audit.audit_rows),
    Entry("/ops/clients", "GET", Action.OPERATE, registry.list_clients),
    Entry("/ops/clients", "POST", Action.OPERATE, registry.register),
    Entry("/ops/clients/{id}/revoke", "POST", Action.OPERATE, registry.revoke),
    Entry("/ops/clients/{id}/rotate", "POST", Action.OPERATE, registry.rotate),
    Entry("/ops/signing-keys/rotate", "POST", Action.OPERATE, registry.rotate_keys),
)

SMART = (Entry("/smart/launches", "POST", Action.LAUNCH, launch.create),)

WEB = (
    Entry("/", "GET", Action.REVIEW, worklist.home),
    Entry("/worklist", "GET", Action.REVIEW, worklist.worklist),
    Entry("/worklist/rows", "GET", Action.REVIEW, worklist.rows),
    Entry("/cases/{id}", "GET", Action.REVIEW, case_page.case_page),
    Entry("/cases/{id}/images/{version}/{image}", "GET", Action.REVIEW, case_page.image),
    *(Entry(f"/cases/{{id}}{path}", "GET", Action.REVIEW, each) for path, each in viewer.PATHS),
    Entry("/cases/{id}/critical", "POST", Action.REVIEW, critical.acknowledge),
    Entry("/cases/{id}/draft", "POST", Action.REVIEW, review.save_draft),
    Entry("/cases/{id}/sign", "POST", Action.REVIEW, review.sign),
    Entry("/sign-out", "POST", Action.REVIEW, session.sign_out),
)

ENTRIES = (*EXPORT, *CONFORMANCE, *SUBSCRIPTIONS, *FHIR, *DICOMWEB, *OPS, *SMART, *WEB)
