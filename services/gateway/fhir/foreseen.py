"""The reads of a transaction, looked at before its commit: one that will fail fails the whole.

R4 http, 3.1.0.11.2. Under the lock it is seen whether the address is served, the caller may ask,
the parameters are read, and the resource is there and may be shown, as the transaction leaves
it. The answer itself is made after the commit, since it may take long.
"""

from __future__ import annotations

from services.gateway.call import Call
from services.gateway.fhir import (
    allowed,
    answers,
    binary_rights,
    content,
    dispatch,
    read,
    searching,
)
from services.gateway.fhir.bundles import Asked
from services.gateway.fhir.outcome import Gone
from services.gateway.fhir.types import TYPES
from services.gateway.store.audit_settling import KIND as AUDIT_EVENT
from services.gateway.store.writing import Writing
from services.kernel.errors import NotFound

OURS = "dxmesh-"
"""How ids begin that `conformance` answers without the store."""


async def require(call: Call, writing: Writing, asked: Asked) -> None:
    """Let a read pass that can be answered once the transaction is committed.

    Raises
    ------
    MeshError
        What the read would be answered with.
    """
    inner, _ = dispatch.matched(call, asked)
    answers.accept_json(inner.request)
    kind, _, rest = asked.path.partition("/")
    if kind not in TYPES:
        if inner.request.path_params.get("type") or inner.request.path_params.get("compartment"):
            raise NotFound("there is no such resource type in R4", reason="TYPE_NOT_SERVED")
        return
    if not rest:
        call.principal.rights.covering(kind, "s")
        await searching.asked(inner, kind)
        return
    resource_id, _, below = rest.partition("/")
    if resource_id.startswith(("_", "$", OURS)) or kind == AUDIT_EVENT:
        return
    call.principal.rights.covering(kind, "r")
    version = below.removeprefix("_history/") if below.startswith("_history/") else ""
    if not below or version:
        content.id_of(resource_id, kind)
        read.shape_of(inner, kind)
    await _there(call, writing, (kind, resource_id), below, version)


async def _there(
    call: Call, writing: Writing, key: tuple[str, str], below: str, version: str
) -> None:
    found = await writing.current(*key)
    if found is None:
        raise NotFound("there is no such resource")
    if version and not (version.isdigit() and int(version[:9]) <= found.version):
        raise NotFound("there is no such version")
    if below:
        return
    if found.deleted:
        raise Gone("the resource was deleted; its history tells when")
    visibility = call.principal.rights.visibility("r")
    seen = (
        await binary_rights.sees(call.store, call.tenant, visibility, found)
        if found.type == "Binary"
        else allowed.sees(visibility, found)
    )
    if not seen:
        raise NotFound("there is no such resource")
