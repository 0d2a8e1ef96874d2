"""create: POST /fhir/{type}, under an id of the server's; conditional with `If-None-Exist`.

A query in the address is such a condition too, since clients send it so: fhirpy does.

Two requests with the same condition at the same time make one resource: the tenant's lock is
taken before the condition is looked at.
"""

from __future__ import annotations

import uuid

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import allowed, answers, binary, content, matching, writes
from services.gateway.fhir.writes import Draft


async def create(call: Call) -> Response:
    """Store a new resource."""
    kind = content.kind_of(call.path("type"))
    answers.accept_json(call.request)
    if kind == "Binary" and content.media_type(call) not in content.JSON_TYPES:
        came, resource = b"", await binary.from_request(call)
    else:
        came, resource = await content.read_json(call)
        content.require_type(resource, kind)
    made = str(uuid.uuid4())
    draft = Draft(kind, {**resource, "id": made}, came, made, "POST", "c")
    draft = await writes.prepare(call, draft)
    header = call.request.headers.get("if-none-exist", "")
    condition = matching.none_exist(call, kind, header, call.request.url.query)
    query = matching.condition(call, kind, condition) if condition else None
    async with writes.changing(call) as writing:
        found = await matching.one(call, writing, kind, query) if query else None
        if found and (stored := await writing.current(*found)):
            created = False
            allowed.require_seen(call.principal.rights.visibility("s"), stored)
        else:
            [(stored, created)] = await writes.save(call, writing, [draft])
        await call.audit("create", answers.address(stored), writing=writing)
    return answers.written(
        call.request, call.base_url, stored, created=created, warnings=draft.warnings
    )
