"""POST and PUT /fhir/Consent: a consent given or withdrawn outside a submission.

The consent service keeps and decides it; the gateway stores the resource for reading. A
withdrawal is a Consent with status `inactive`, or one that denies: open cases are stopped.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from starlette.responses import Response

from services.gateway.call import Call, body
from services.gateway.fhir import answers, submission
from services.gateway.fhir.read import checked
from services.gateway.fhir.submit import require_json
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

CONTENT_BYTES_MAX = 256 << 10


async def create(call: Call) -> Response:
    """Record a Consent under an id of the server's."""
    return await _record(call, str(uuid.uuid4()))


async def update(call: Call) -> Response:
    """Record a further version of a Consent, or create it under this id."""
    call.request.path_params["type"] = "Consent"
    _, resource_id = checked(call)
    return await _record(call, resource_id)


async def _record(call: Call, resource_id: str) -> Response:
    require_json(call)
    content = await body(call.request, CONTENT_BYTES_MAX)
    consent = await asyncio.to_thread(fhir.parse, content)
    if call.request.method == "POST" and isinstance(consent, dict):
        consent["id"] = resource_id
    subject_key = await _subject(call, consent, resource_id)
    await call.gateway.peers.record_consent(call.tenant, subject_key, fhir.dump(consent))
    before = await _version(call, resource_id)
    async with call.store.cases.transaction() as connection:
        await call.store.resources.put(connection, call.tenant, "", [consent])
    stored = await call.store.resources.read(call.tenant, "Consent", resource_id)
    interaction = "update" if before or call.request.method == "PUT" else "create"
    await call.audit(interaction, f"Consent/{resource_id}/_history/{stored.version}")
    headers = {"Location": f"{call.base_url}/fhir/Consent/{resource_id}"}
    return answers.resource(stored, status=200 if before else 201, headers=headers)


async def _subject(call: Call, consent: Any, resource_id: str) -> str:
    """Return whose consent it is.

    Raises
    ------
    InvalidInput
        Not a Consent with this id, or its patient has no case here yet.
    """
    problems: list[Violation] = []
    if not isinstance(consent, dict) or consent.get("resourceType") != "Consent":
        problems.append(Violation("resourceType", "must be Consent"))
        raise InvalidInput("not a Consent", problems, reason="NOT_A_CONSENT")
    if consent.get("id") != resource_id:
        problems.append(Violation("Consent.id", "must be the id in the address"))
        raise InvalidInput("the id does not match", problems, reason="BAD_REQUEST")
    if problems := await asyncio.to_thread(fhir.problems, consent):
        raise InvalidInput("the Consent does not conform to R4", problems)
    patient = consent.get("patient", {})
    names = [str(patient["reference"])] if patient.get("reference") else []
    if patient.get("identifier"):
        names += submission.identifiers([patient["identifier"]])
    found = await call.store.people.subject(call.tenant, names)
    if found is None:
        problem = Violation(
            "Consent.patient", "no case of this patient is known; send it in a submission Bundle"
        )
        raise InvalidInput("the patient is not known", [problem], reason="UNKNOWN_PATIENT")
    return found


async def _version(call: Call, resource_id: str) -> int:
    try:
        return (await call.store.resources.read(call.tenant, "Consent", resource_id)).version
    except NotFound:
        return 0
