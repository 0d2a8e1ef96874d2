"""update: PUT /fhir/{type}/{id}, or PUT /fhir/{type}?… for the one resource that is found.

A resource that is not there is created under the id. `If-Match` names the version that is
replaced; `If-None-Match: *` lets the request create only.
"""

from __future__ import annotations

import uuid

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import answers, binary, conditions, content, matching, writes
from services.gateway.fhir.writes import Draft


async def update(call: Call) -> Response:
    """Store a resource under its id."""
    kind = content.kind_of(call.path("type"))
    resource_id = content.id_of(call.path("id"), kind)
    answers.accept_json(call.request)
    if kind == "Binary" and content.media_type(call) not in content.JSON_TYPES:
        came, resource = b"", {**await binary.from_request(call), "id": resource_id}
    else:
        came, resource = await content.read_json(call)
        content.require_type(resource, kind)
        content.require_id(resource, resource_id)
    draft = await writes.prepare(call, Draft(kind, resource, came, resource_id))
    async with writes.changing(call) as writing:
        before = await writing.current(kind, resource_id)
        version = before.version if before and not before.deleted else 0
        conditions.require(call.request.headers, version)
        [(stored, created)] = await writes.save(call, writing, [draft])
        await call.audit("update", answers.address(stored), writing=writing)
    return answers.written(
        call.request, call.base_url, stored, created=created, warnings=draft.warnings
    )


async def conditional_update(call: Call) -> Response:
    """Store a resource as the one that meets the condition, or as a new one.

    R4 http, 3.1.0.4.3: without a match an id in the content becomes the resource's; with one
    the content's id must be that of the match, or missing.
    """
    kind = content.kind_of(call.path("type"))
    answers.accept_json(call.request)
    came, resource = await content.read_json(call)
    content.require_type(resource, kind)
    query = matching.condition(call, kind, call.request.url.query)
    if "id" in resource:
        content.id_of(str(resource["id"]), kind)
    draft = await writes.prepare(call, Draft(kind, resource, came))
    async with writes.changing(call) as writing:
        found = await matching.one(call, writing, kind, query)
        if found and "id" in resource:
            content.require_id(resource, found[1])
        draft.id = found[1] if found else str(resource.get("id") or uuid.uuid4())
        draft.resource = {**resource, "id": draft.id}
        before = await writing.current(kind, draft.id)
        version = before.version if before and not before.deleted else 0
        if version and not found:
            raise matching.taken(kind)
        conditions.require(call.request.headers, version)
        [(stored, created)] = await writes.save(call, writing, [draft])
        await call.audit("update", answers.address(stored), writing=writing)
    return answers.written(
        call.request, call.base_url, stored, created=created, warnings=draft.warnings
    )
