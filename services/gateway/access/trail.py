"""An audit entry from a request and who made it. Pure.

Source: IHE Basic Audit Log Patterns (BALP) 1.1; W3C Trace Context; v3-PurposeOfUse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from opentelemetry import trace
from starlette.requests import Request

from services.gateway.access.principal import Principal
from services.gateway.store.audit import MINOR, SERIOUS, SUCCESS, AuditEntry
from services.kernel.errors import MeshError

PURPOSES = frozenset(
    {
        "TREAT", "ETREAT", "BTG", "CAREMGT", "CLINTRCH", "COC", "DISASTER", "DONAT", "EMRGENCY",
        "FAMRQT", "HDIRECT", "HLEGAL", "HMARKT", "HOPERAT", "HOUTCOMS", "HPAYMT", "HPRGRP",
        "HQUALIMP", "HRESCH", "HSYSADMIN", "PATADMIN", "PATRQT", "PATSFTY", "PERFMSR", "PUBHLTH",
        "PWATRNY", "RECORDMGT", "SUPNWK", "SYSDEV", "THREAT", "TRAIN",
    }
)  # fmt: skip
"""Codes of v3-PurposeOfUse that a client may state in the header `Purpose`."""
DEFAULT_PURPOSE = "TREAT"
QUERY_CHARS_MAX = 8192
SEEN_MAX = 1000
_TOKEN = re.compile(r"[A-Za-z0-9._~:/+=-]{1,128}")


def entry(
    request: Request,
    principal: Principal,
    interaction: str,
    resource: str = "",
    *,
    patient: str | Iterable[str] = (),
    seen: Iterable[str] = (),
    case_id: str = "",
    query: str = "",
    outcome: MeshError | None = None,
) -> AuditEntry:
    """Return what the audit trail keeps of an interaction; see `Call.audit`."""
    patients = (patient,) if isinstance(patient, str) else tuple(patient)
    return AuditEntry(
        tenant=principal.tenant,
        interaction=interaction[:64],
        agent=principal.name,
        role=str(principal.role),
        resource=resource[:256],
        seen=tuple(dict.fromkeys(seen))[:SEEN_MAX],
        patients=tuple(dict.fromkeys(p for p in patients if p)),
        case_id=case_id,
        query=query[:QUERY_CHARS_MAX],
        outcome=grade(outcome),
        reason=outcome.reason if outcome else "",
        client_id=principal.client_id,
        practitioner=principal.practitioner,
        purpose=purpose(request),
        request_id=request_id(request),
        trace_id=_trace_id(),
        address=request.client.host if request.client else "",
    )


def grade(error: MeshError | None) -> str:
    """Return AuditEvent.outcome: 0 done, 4 refused or wrong, 8 failed by a fault of ours."""
    if error is None:
        return SUCCESS
    ours = error.grpc_status in ("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNKNOWN")
    return SERIOUS if ours and error.reason != "BAD_REQUEST" else MINOR


def purpose(request: Request) -> str:
    """Return the purpose of use: what the header `Purpose` states, else treatment.

    Browsers send `Purpose: prefetch` of their own accord, so what is no code is left aside.
    """
    stated = request.headers.get("purpose", "").rpartition("|")[2].strip().upper()
    return stated if stated in PURPOSES else DEFAULT_PURPOSE


def request_id(request: Request) -> str:
    """Return the client's `X-Request-Id`, or an empty text when it has none that can be kept."""
    given = request.headers.get("x-request-id", "")
    return given if _TOKEN.fullmatch(given) else ""


def query_of(request: Request) -> str:
    """Return path and query as they were sent."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _trace_id() -> str:
    found = trace.get_current_span().get_span_context()
    return format(found.trace_id, "032x") if found.is_valid else ""
