"""delete: DELETE /fhir/{type}/{id}, or DELETE /fhir/{type}?… for the one that is found.

Afterwards a read answers 410; the history stays. Deleting what is not there is no error
(R4 http, 3.1.0.7). References to what was deleted are left as they are.
"""

from __future__ import annotations

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import allowed, answers, conditions, consent, content, matching, writes
from services.gateway.store.resources import Stored
from services.gateway.store.writing import Writing
from services.kernel import fhir


async def delete(call: Call) -> Response:
    """Delete one resource."""
    kind = content.kind_of(call.path("type"))
    resource_id = content.id_of(call.path("id"), kind)
    async with writes.changing(call) as writing:
        gone = await remove(call, writing, kind, resource_id, dict(call.request.headers))
        await call.audit("delete", f"{kind}/{resource_id}", writing=writing)
    return _answer(gone)


async def conditional_delete(call: Call) -> Response:
    """Delete the resource that meets the condition; several are refused."""
    kind = content.kind_of(call.path("type"))
    query = matching.condition(call, kind, call.request.url.query)
    async with writes.changing(call) as writing:
        found = await matching.one(call, writing, kind, query)
        gone = None
        if found:
            gone = await remove(call, writing, *found, dict(call.request.headers))
        name = "/".join(found) if found else kind
        await call.audit("delete", name, writing=writing)
    return _answer(gone)


async def remove(
    call: Call, writing: Writing, kind: str, resource_id: str, headers: dict[str, str]
) -> Stored | None:
    """Delete inside a transaction; None when there was nothing to delete.

    Raises
    ------
    Forbidden, PreconditionFailed
    """
    writes.require_writable(kind)
    call.principal.rights.covering(kind, "d")
    before = await writing.current(kind, resource_id)
    if before is None or before.deleted:
        conditions.require(headers, 0)
        return before
    writes.require_not_owned(before)
    resource = fhir.parse(before.content)
    allowed.require_change(call.principal.rights, "d", kind, [resource])
    conditions.require(headers, before.version)
    if kind == "Consent":  # without it nothing is allowed any more
        await consent.tell(call, writing, [{**resource, "status": "inactive"}])
    return await writing.remove(kind, resource_id)


def _answer(gone: Stored | None) -> Response:
    headers = {"ETag": answers.etag(gone.version)} if gone else {}
    return Response(None, 204, headers)
