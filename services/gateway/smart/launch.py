"""POST /smart/launches: an EHR says which patient an app is to be opened with.

The answer is the address to open: the app's launch URL with `iss` and `launch`. The value
stands for the context once, for ten minutes, for that app alone.

Source: SMART App Launch 2.2.0, Launch: EHR Launch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call, body
from services.gateway.smart.site import site_of
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

BODY_BYTES_MAX = 16 << 10
VALID_S = 600.0
CONTEXTS_MAX = 20
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}")
FIELDS = frozenset(
    {"client_id", "patient", "encounter", "account", "intent", "fhirContext", "need_patient_banner"}
)


async def create(call: Call) -> Response:
    """Keep a launch context; return `launch`, `iss` and `url`."""
    said = fhir.parse(await body(call.request, BODY_BYTES_MAX))
    if not isinstance(said, dict) or not set(said) <= FIELDS:
        problem = Violation("launch", f"an object with {', '.join(sorted(FIELDS))}")
        raise InvalidInput("the launch cannot be read", [problem])
    found = await call.store.smart.clients.find(str(said.get("client_id", "")))
    if found is None or found.client.tenant != call.tenant:
        raise NotFound("there is no such client; the operator registers it", reason="NO_CLIENT")
    context = _checked(said)
    await _there(call, context)
    site = site_of(call.request, call.gateway.settings)
    launch = await call.store.smart.launches.put(
        call.tenant, found.client.client_id, context, VALID_S
    )
    patient = f"Patient/{context['patient']}" if context.get("patient") else ""
    await call.audit("launch", patient, patient=patient)
    query = urlencode({"iss": site.fhir, "launch": launch})
    answer = {"launch": launch, "iss": site.fhir, "expires_in": int(VALID_S)}
    if url := found.client.launch_url:
        answer["url"] = f"{url}{'&' if '?' in url else '?'}{query}"
    return JSONResponse(answer, 201)


def _checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context.

    Raises
    ------
    InvalidInput
    """
    problems = []
    for name in ("patient", "encounter"):
        if name in said and not (isinstance(said[name], str) and _ID.fullmatch(said[name])):
            problems.append(Violation(name, "the id of a resource"))
    for name in ("account", "intent"):
        if name in said and not (isinstance(said[name], str) and 0 < len(said[name]) <= 128):
            problems.append(Violation(name, "1 to 128 characters"))
    if not isinstance(said.get("need_patient_banner", True), bool):
        problems.append(Violation("need_patient_banner", "true or false"))
    if "encounter" in said and "patient" not in said:
        problems.append(Violation("encounter", "with its patient"))
    more = said.get("fhirContext", [])
    if not isinstance(more, list) or len(more) > CONTEXTS_MAX or not all(map(_is_context, more)):
        problems.append(Violation("fhirContext", "objects with a relative reference"))
    if problems:
        raise InvalidInput("the launch cannot be used", problems)
    return {name: value for name, value in said.items() if name != "client_id"}


def _is_context(each: object) -> bool:
    if not isinstance(each, dict) or not set(each) <= {"reference", "role", "type", "canonical"}:
        return False
    reference = each.get("reference", "")
    kind = reference.partition("/")[0] if isinstance(reference, str) else ""
    texts = all(isinstance(value, str) and len(value) <= 512 for value in each.values())
    return texts and bool(_REFERENCE.fullmatch(reference)) and kind not in ("Patient", "Encounter")


async def _there(call: Call, context: Mapping[str, Any]) -> None:
    """Let a context pass whose patient and encounter are in the store and belong together.

    Raises
    ------
    NotFound, InvalidInput
    """
    if patient := context.get("patient"):
        await call.store.resources.read(call.tenant, "Patient", patient)
    if encounter := context.get("encounter"):
        found = await call.store.resources.read(call.tenant, "Encounter", encounter)
        subject = fhir.parse(found.content).get("subject", {}).get("reference", "")
        if str(subject).rpartition("Patient/")[2] != patient:
            problem = Violation("encounter", "an encounter of the patient")
            raise InvalidInput("the launch cannot be used", [problem])
