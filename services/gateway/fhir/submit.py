"""POST /fhir: a submission Bundle becomes a case. Answers 201 with the case's Task.

The same submission again answers 200 with the first case's Task. A refused consent answers
403 and leaves a Task `rejected` with the reason, at the address in `Location`.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

import orjson
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from starlette.responses import Response

from services.gateway.call import Call, body
from services.gateway.fhir import answers, overwriting, submission
from services.gateway.fhir.content import require_json
from services.gateway.fhir.outcome import respond
from services.gateway.progress import Step, known, stop, to_us, with_step
from services.kernel.errors import InvalidInput, MeshError


async def submit(call: Call) -> Response:
    """POST /fhir/$submit: whatever the Bundle looks like, it is a case."""
    require_json(call)
    answers.accept_json(call.request)
    return await take(call, await body(call.request, call.gateway.settings.bundle_bytes_max))


async def take(call: Call, content: bytes) -> Response:
    """Stream the Bundle to ingest and answer with the case's Task."""
    if not content.strip():
        raise InvalidInput("the content is empty", reason="NOT_JSON")
    try:
        accepted = await accept(call, content)
    except MeshError as error:
        if error.grpc_status != "PERMISSION_DENIED":
            raise
        location = f"{call.base_url}/fhir/Task/{error.facts['case_id']}"
        return respond(error, headers={"Location": location})
    return await answered(call, accepted)


async def answered(call: Call, accepted: SubmitCaseResponse) -> Response:
    """Return the answer to an accepted submission: its Task."""
    case_id = accepted.case.case_id
    task = await call.store.resources.read(call.tenant, "Task", case_id)
    headers = {"Location": f"{call.base_url}/fhir/Task/{case_id}"}
    return answers.resource(task, status=200 if accepted.duplicate else 201, headers=headers)


async def accept(call: Call, content: bytes) -> SubmitCaseResponse:
    """Hand a submission Bundle to ingest and keep what is known of its case.

    Raises
    ------
    OtherPatient
        Its ids are those of another patient.
    MeshError
        What ingest says; after a refused consent `facts["case_id"]` is the Task that says why.
    """
    await overwriting.require(call, content)
    try:
        accepted = await call.gateway.peers.submit(call.tenant, content)
    except MeshError as error:
        if error.grpc_status == "PERMISSION_DENIED":
            error.facts["case_id"] = await refused(call, content, error)
        raise
    await note(call, content, accepted)
    return accepted


async def note(call: Call, content: bytes, accepted: SubmitCaseResponse) -> None:
    """Keep where the case stands, whom it is about, and what could not be used."""
    bundle = await asyncio.to_thread(orjson.loads, content)
    references = submission.references(bundle)
    if accepted.subject_key:
        await call.store.people.remember_subject(call.tenant, references, accepted.subject_key)
    received = Step(
        "received", "done", to_us(accepted.accepted_time), to_us(accepted.accepted_time)
    )
    async with call.store.cases.change(call.tenant, accepted.case.case_id) as opened:
        case = with_step(known(opened.case, accepted.case), received)
        case = replace(case, subject_key=accepted.subject_key or case.subject_key)
        if not case.stopped:
            problems = [
                {"source": p.source, "reason": p.reason, "message": p.message}
                for p in accepted.problems
            ]
            label = submission.label(bundle) | ({"problems": problems} if problems else {})
            case = replace(case, label=label | case.label)
        opened.case = case
    case_id = accepted.case.case_id
    await call.audit("submit", f"Task/{case_id}", case_id=case_id)


async def refused(call: Call, content: bytes, error: MeshError) -> str:
    """Leave a Task that says why, return its id; sending the same again finds the same Task."""
    hasher = await call.gateway.hasher_for(call.tenant)
    made = uuid.UUID(hasher("refused-submission", content.hex())[:32])
    case_id = error.facts.get("case_id") or str(made)
    async with call.store.cases.change(call.tenant, case_id) as opened:
        opened.case = stop(opened.case, "rejected", error.reason, error.message)
    await call.audit("submit", f"Task/{case_id}", case_id=case_id, outcome=error)
    return case_id
