"""The request of a CDS hook, checked. Pure.

Prefetch may lack what we asked for (the EHR may not have it or not say); `fhirAuthorization`
is accepted and never used, for no answer needs a call back to the EHR.

Source: CDS Hooks 2.0, HTTP Request; the hooks patient-view 1.0, order-select 1.0, order-sign 1.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

Json = Mapping[str, Any]

PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN = "patient-view", "order-select", "order-sign"
ORDERS_MAX = 200
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class HookRequest:
    """What an EHR asks, as far as we use it."""

    hook: str
    hook_instance: str
    patient_id: str
    patient: Json | None
    """The Patient of the prefetch; None: it was not sent."""
    orders: tuple[Json, ...]
    """The orders in question: those selected, or all that are to be signed."""


def parse(content: bytes, hook: str) -> HookRequest:
    """Return a request to a service of `hook`.

    Raises
    ------
    InvalidInput
        Not JSON, or fields that the hook needs are missing or of the wrong form.
    """
    body = fhir.parse(content)
    if not isinstance(body, Mapping):
        raise InvalidInput("the request is not a JSON object", reason="BAD_REQUEST")
    context = body.get("context")
    found: list[Violation] = []
    if body.get("hook") != hook:
        found.append(Violation("hook", f"this service is for {hook}"))
    if not _is_uuid(body.get("hookInstance")):
        found.append(Violation("hookInstance", "a UUID"))
    if not isinstance(context, Mapping):
        found.append(Violation("context", "an object"))
        context = {}
    patient_id = _patient_id(context)
    if not patient_id:
        found.append(Violation("context.patientId", "the id of a Patient"))
    if not isinstance(context.get("userId", ""), str):
        found.append(Violation("context.userId", "a reference such as Practitioner/1"))
    orders: tuple[Json, ...] = ()
    if hook != PATIENT_VIEW:
        orders = _orders(context, found, selected=hook == ORDER_SELECT)
    patient = _patient(body.get("prefetch"), patient_id, found)
    if found:
        raise InvalidInput("the hook's request cannot be used", found, reason="BAD_REQUEST")
    return HookRequest(hook, str(body["hookInstance"]), patient_id, patient, orders)


def _patient_id(context: Json) -> str:
    value = context.get("patientId")
    # CDS Hooks has the bare id; some clients send the reference.
    text = value.removeprefix("Patient/") if isinstance(value, str) else ""
    return text if _ID.fullmatch(text) else ""


def _patient(prefetch: Any, patient_id: str, found: list[Violation]) -> Json | None:
    """Return the Patient of the prefetch; what stands there instead says that there is none."""
    patient = prefetch.get("patient") if isinstance(prefetch, Mapping) else None
    if not isinstance(patient, Mapping) or patient.get("resourceType") != "Patient":
        return None
    if patient.get("id", patient_id) != patient_id:
        found.append(Violation("prefetch.patient", "another Patient than context.patientId"))
    return patient


def _orders(context: Json, found: list[Violation], *, selected: bool) -> tuple[Json, ...]:
    bundle = context.get("draftOrders")
    entries = bundle.get("entry", []) if isinstance(bundle, Mapping) else None
    if not isinstance(entries, list) or len(entries) > ORDERS_MAX:
        found.append(Violation("context.draftOrders", f"a Bundle of at most {ORDERS_MAX} orders"))
        return ()
    resources = [e.get("resource") for e in entries if isinstance(e, Mapping)]
    orders = [r for r in resources if isinstance(r, Mapping)]
    if selected:
        chosen = context.get("selections")
        if not isinstance(chosen, list) or not all(isinstance(s, str) for s in chosen):
            found.append(Violation("context.selections", "references to draft orders"))
            return ()
        orders = [o for o in orders if f"{o.get('resourceType')}/{o.get('id')}" in chosen]
    return tuple(o for o in orders if o.get("resourceType") == "ServiceRequest")


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False
