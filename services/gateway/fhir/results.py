"""A file of results: HL7 v2 messages or CSV rows, each message or patient a case of its own.

One answers as a submission does. Of several the answer is a Bundle of type `batch-response`: the
Task of each that is accepted, and why each other is not. What a case was made of is the evidence,
and is given back byte for byte to those who may submit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitResultsResponse, SubmittedResults
from starlette.responses import Response

from services.gateway.call import Call, body
from services.gateway.fhir import answers, content, submit, transaction
from services.gateway.fhir.outcome import http_status, respond
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, MeshError, Unavailable

HL7V2, CSV = "application/hl7-v2", "text/csv"
MEDIA_TYPES = {HL7V2: HL7V2, "x-application/hl7-v2+er7": HL7V2, CSV: CSV}
"""What is taken as such a file, and what ingest calls it."""

Json = dict[str, Any]


def kind_of(call: Call) -> str:
    """Return what ingest calls the request's content; empty: it is no file of results."""
    return MEDIA_TYPES.get(content.media_type(call), "")


async def operation(call: Call) -> Response:
    """POST /fhir/$submit: a file of results, or else a Bundle, whatever that looks like."""
    kind = kind_of(call)
    return await (take(call, kind) if kind else submit.submit(call))


async def take(call: Call, media_type: str) -> Response:
    """Hand a file of results to ingest and answer with the Tasks of its cases."""
    answers.accept_json(call.request)
    came = await body(call.request, call.gateway.settings.bundle_bytes_max)
    if not came.strip():
        raise InvalidInput("the content is empty", reason="BAD_REQUEST")
    answer = await call.gateway.peers.submit_results(call.tenant, media_type, came)
    if len(answer.submitted) == 1:
        return await _single(call, came, answer)
    entries = [await _entry(call, each) for each in answer.submitted]
    if answer.problems:
        entries.append(_unread(answer))
    await call.audit("batch")
    return transaction.respond("batch-response", entries)


async def original(call: Call) -> Response:
    """GET /fhir/Task/{id}/$original: what a case was made of, byte for byte.

    Raises
    ------
    Forbidden
        An app asks: the whole message is more than a scope can grant.
    NotFound
    """
    if call.principal.client_id:
        raise Forbidden("apps may not read originals", reason="ROLE_NOT_ALLOWED")
    case_id = call.path("id")
    await call.store.cases.get(call.tenant, case_id)
    media_type, found = await call.gateway.peers.read_original(call.tenant, case_id)
    await call.audit("$original", f"Task/{case_id}", case_id=case_id)
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(found, headers=headers, media_type=media_type)


async def _single(call: Call, came: bytes, answer: SubmitResultsResponse) -> Response:
    (only,) = answer.submitted
    if only.HasField("refused"):
        error = _error(only)
        if not isinstance(error, Forbidden):
            raise error
        case_id = await submit.refused(call, came, error)
        return respond(error, headers={"Location": f"{call.base_url}/fhir/Task/{case_id}"})
    only.accepted.problems.extend(answer.problems)
    await submit.note(call, only.named_json, only.accepted)
    return await submit.answered(call, only.accepted)


async def _entry(call: Call, each: SubmittedResults) -> Json:
    """Return the entry of one message or patient."""
    if each.HasField("refused"):
        error = _error(each)
        told = fhir.outcome(error, diagnostics=f"{each.source}: {error.message}")
        return {"response": {"status": str(http_status(error)), "outcome": told}}
    await submit.note(call, each.named_json, each.accepted)
    case_id = each.accepted.case.case_id
    task = await call.store.resources.read(call.tenant, "Task", case_id)
    status = "200" if each.accepted.duplicate else "201"
    response = {"status": status, "location": f"Task/{case_id}"}
    return {"resource": orjson.Fragment(task.content), "response": response}


def _unread(answer: SubmitResultsResponse) -> Json:
    """Return an entry that says what of the file itself was not read."""
    issues: Sequence[Json] = [
        {
            "severity": "warning",
            "code": "incomplete",
            "details": {
                "coding": [{"system": "urn:dxmesh:reason", "code": each.reason}],
                "text": f"{each.source}: {each.message}",
            },
        }
        for each in answer.problems
    ]
    told = {"resourceType": "OperationOutcome", "issue": issues}
    return {"response": {"status": "200", "outcome": told}}


def _error(each: SubmittedResults) -> MeshError:
    reason, message = each.refused.reason, each.refused.message
    if reason.startswith("CONSENT_"):
        return Forbidden(message, reason=reason)
    if each.passing:
        return Unavailable(message, reason=reason)
    return InvalidInput(message, reason=reason)
