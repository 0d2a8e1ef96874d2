"""read and vread: GET /fhir/{type}/{id}[/_history/{version}], conditional by version or time.

`_summary` and `_elements` give an excerpt, whose labels stay and which is marked SUBSETTED.
"""

from __future__ import annotations

from starlette.responses import Response

from services.gateway.access.rights import Visibility
from services.gateway.call import Call
from services.gateway.fhir import (
    allowed,
    answers,
    binary,
    binary_rights,
    conditions,
    content,
    prefer,
)
from services.gateway.fhir.outcome import Gone
from services.gateway.fhir.search import shape
from services.gateway.fhir.search.query import parse
from services.gateway.store.audit_settling import KIND as AUDIT_EVENT
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

_SHAPING = frozenset({"_summary", "_elements"})
_KNOWN = _SHAPING | {"_format", "_pretty"}


async def read(call: Call) -> Response:
    """Return the current version of a resource."""
    kind, resource_id = checked(call)
    if not answers_binary(call, kind):
        answers.accept_json(call.request)
    call.principal.rights.covering(kind, "r")
    if kind == AUDIT_EVENT:
        await call.store.settling.catch_up(call.tenant)
    try:
        found = await call.store.resources.read(call.tenant, kind, resource_id)
    except Gone:
        raise _hidden(call, kind) from None
    return await _answer(call, found, "read")


async def vread(call: Call) -> Response:
    """Return one version of a resource."""
    kind, resource_id = checked(call)
    if not answers_binary(call, kind):
        answers.accept_json(call.request)
    call.principal.rights.covering(kind, "r")
    version = call.path("version")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise NotFound("there is no such version")
    try:
        found = await call.store.resources.read_version(
            call.tenant, kind, resource_id, int(version)
        )
    except Gone:
        raise _hidden(call, kind) from None
    return await _answer(call, found, "vread")


def checked(call: Call) -> tuple[str, str]:
    """Return type and id of the path.

    Raises
    ------
    NotFound
        A type that R4 does not have.
    InvalidInput
        Not an R4 id.
    """
    kind = content.kind_of(call.path("type"))
    return kind, content.id_of(call.path("id"), kind)


def answers_binary(call: Call, kind: str) -> bool:
    """Tell whether the answer is the content of a Binary, in whatever form that has."""
    return kind == "Binary" and binary.wants_content(call.request)


async def sees(call: Call, visibility: Visibility, stored: Stored) -> bool:
    """Tell whether a version may be shown; a deletion to those who may see the version before."""
    if visibility.of(stored.type) == ():
        return False
    if stored.deleted:
        if stored.version < 2 or (visibility.of(stored.type) is None and visibility.restricted):
            return True
        stored = await call.store.resources.read_version(
            call.tenant, stored.type, stored.id, stored.version - 1
        )
    if stored.type == "Binary":
        return await binary_rights.sees(call.store, call.tenant, visibility, stored)
    return allowed.sees(visibility, stored)


async def _sees_now(call: Call, visibility: Visibility, version: Stored) -> bool:
    """Tell whether the resource of a version may be seen as it is now: a later label counts."""
    if visibility.of(version.type) is None and visibility.restricted:
        return True
    now = await call.store.resources.find(call.tenant, version.type, version.id)
    return now is None or now.version == version.version or await sees(call, visibility, now)


def _hidden(call: Call, kind: str) -> Gone | NotFound:
    """Return how a deletion is told: to those who may see only some, there never was one."""
    if call.principal.rights.visibility("r").of(kind) is None:
        return Gone("the resource was deleted; its history tells when")
    return NotFound("there is no such resource")


async def _answer(call: Call, found: Stored, interaction: str) -> Response:
    visibility = call.principal.rights.visibility("r")
    shown = await sees(call, visibility, found)
    if shown and interaction == "vread":
        shown = await _sees_now(call, visibility, found)
    if not shown:
        raise NotFound("there is no such resource")
    summary, names = shape_of(call, found.type)
    await call.audit(interaction, answers.address(found), case_id=found.case_id)
    if conditions.unchanged(call.request.headers, found.version, found.updated_us):
        return Response(status_code=304, headers=answers.version_headers(found))
    if answers_binary(call, found.type):
        return binary.respond(found)
    if summary or names:
        part = shape.shaped(fhir.parse(found.content), summary, names)
        headers = answers.version_headers(found)
        return Response(fhir.dump(part), headers=headers, media_type=fhir.MEDIA_TYPE)
    return answers.resource(found)


def shape_of(call: Call, kind: str) -> tuple[str, tuple[str, ...]]:
    """Return what `_summary` and `_elements` ask for.

    Raises
    ------
    InvalidInput
        A parameter that a read does not take, unless handling is lenient.
    """
    if not call.request.url.query:
        return "", ()
    pairs = call.request.query_params.multi_items()
    lenient = prefer.parse(call.request.headers.get("prefer", "")).lenient
    unknown = [Violation(f"http.{n[:64]}", "not served here") for n, _ in pairs if n not in _KNOWN]
    if unknown and not lenient:
        raise InvalidInput("a parameter is not served", unknown, reason="BAD_REQUEST")
    asked = parse(kind, [pair for pair in pairs if pair[0] in _SHAPING])
    if asked.summary == "count":
        problem = Violation("http._summary", "count is asked of a search")
        raise InvalidInput("_summary cannot be used", [problem], reason="BAD_REQUEST")
    return asked.summary, asked.elements
