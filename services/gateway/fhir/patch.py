"""patch: PATCH /fhir/{type}/{id} or ?…, as JSON Patch, JSON Merge Patch or FHIRPath Patch.

`application/json` says no more than JSON: a list is a JSON Patch, Parameters a FHIRPath Patch,
any other object a merge patch.

The result is held to R4 like any update; a number the patch does not touch keeps its digits.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from services.gateway.call import Call, body
from services.gateway.fhir import (
    allowed,
    answers,
    conditions,
    content,
    fhirpath_patch,
    json_patch,
    matching,
    merge_patch,
    writes,
)
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.writes import Draft
from services.gateway.store.resources import Stored
from services.gateway.store.writing import Writing
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
PATCH_BYTES_MAX = 4 << 20

Json = Any


@dataclass(frozen=True, slots=True)
class Patch:
    """What is to be done to a resource: operations of JSON Patch, Parameters, or members."""

    value: Json
    merges: bool = False
    """Whether the value is a merge patch."""

    def apply(self, resource: dict[str, Json]) -> dict[str, Json]:
        """Return the patched resource, which keeps its type and id.

        Raises
        ------
        InvalidInput
        """
        if self.merges:
            changed = merge_patch.apply(resource, self.value)
        elif isinstance(self.value, Mapping):
            changed = fhirpath_patch.apply(resource, self.value)
        else:
            changed = json_patch.apply(resource, self.value)
        json_patch.require_bounded(changed)
        for name in ("resourceType", "id"):
            if changed.get(name) != resource[name]:
                problem = Violation(f"{resource['resourceType']}.{name}", "may not be changed")
                raise InvalidInput("the patch cannot be applied", [problem], reason="PATCH_ID")
        return changed


async def patch(call: Call) -> Response:
    """Change parts of a resource."""
    kind = content.kind_of(call.path("type"))
    resource_id = content.id_of(call.path("id"), kind)
    answers.accept_json(call.request)
    change = await _from_request(call)
    async with writes.changing(call) as writing:
        stored = await change_in(
            call, writing, (kind, resource_id), change, dict(call.request.headers)
        )
        await call.audit("patch", answers.address(stored), writing=writing)
    return _answer(call, stored)


async def conditional_patch(call: Call) -> Response:
    """Change parts of the resource that meets the condition."""
    kind = content.kind_of(call.path("type"))
    answers.accept_json(call.request)
    query = matching.condition(call, kind, call.request.url.query)
    change = await _from_request(call)
    async with writes.changing(call) as writing:
        found = await matching.one(call, writing, kind, query)
        if found is None:
            raise NotFound("no resource meets the condition")
        stored = await change_in(call, writing, found, change, dict(call.request.headers))
        await call.audit("patch", answers.address(stored), writing=writing)
    return _answer(call, stored)


async def change_in(
    call: Call,
    writing: Writing,
    key: tuple[str, str],
    change: Patch,
    headers: Mapping[str, str],
) -> Stored:
    """Patch a resource inside a transaction.

    Raises
    ------
    NotFound, Gone, Forbidden, PreconditionFailed, InvalidInput
    """
    draft = await drafted(call, writing, key, change, headers)
    [(stored, _)] = await writes.save(call, writing, [draft])
    return stored


async def drafted(
    call: Call,
    writing: Writing,
    key: tuple[str, str],
    change: Patch,
    headers: Mapping[str, str],
) -> Draft:
    """Return the patched resource, ready to be saved."""
    call.principal.rights.covering(key[0], "u")
    writes.require_writable(key[0])
    before = await writes.current(call, writing, *key)
    resource = fhir.parse(before.content)
    # Before anything is told of it: whether a test is met would tell what it holds.
    allowed.require_change(call.principal.rights, "u", key[0], [resource])
    conditions.require(headers, before.version)
    changed = change.apply(resource)
    return await writes.prepare(call, Draft(key[0], changed, id=key[1]))


def _answer(call: Call, stored: Stored) -> Response:
    """Answer with the result, but to those who may not read it with its version alone."""
    if not allowed.sees(call.principal.rights.visibility("r"), stored):
        return Response(None, 200, answers.version_headers(stored))
    return answers.written(call.request, call.base_url, stored, created=False)


async def _from_request(call: Call) -> Patch:
    kind = content.media_type(call)
    if kind not in (JSON_PATCH, MERGE_PATCH) and kind not in content.JSON_TYPES:
        raise UnsupportedMediaType(
            f"a patch is {JSON_PATCH}, {MERGE_PATCH}, or Parameters as {fhir.MEDIA_TYPE}"
        )
    if kind in content.JSON_TYPES:
        content.require_json(call)
    came = await body(call.request, PATCH_BYTES_MAX)
    value = await content.run_heavy(len(came), content.parse, came)
    if kind == "application/json":
        if isinstance(value, list):
            kind = JSON_PATCH
        elif isinstance(value, dict) and value.get("resourceType") != "Parameters":
            kind = MERGE_PATCH
    if kind == MERGE_PATCH:
        return of_members(value)
    if kind == JSON_PATCH:
        return Patch(value if isinstance(value, list) else [value])
    return of_parameters(value)


def of_members(value: Json) -> Patch:
    """Return the merge patch in a JSON object.

    Raises
    ------
    InvalidInput
    """
    if not isinstance(value, dict):
        raise InvalidInput("a merge patch is a JSON object", reason="BAD_REQUEST")
    return Patch(value, merges=True)


def of_parameters(value: Json) -> Patch:
    """Return the FHIRPath Patch in a Parameters resource.

    Raises
    ------
    InvalidInput
    """
    content.require_type(content.as_object(value), "Parameters")
    return Patch(value)


def of_binary(value: Json) -> Patch:
    """Return the JSON Patch in a Binary, as a Bundle's entry carries it (R4 http, 3.1.0.11.1).

    Raises
    ------
    InvalidInput
    """
    try:
        data = base64.b64decode(str(value.get("data", "")), validate=True)
    except ValueError as error:
        raise InvalidInput("the patch is not base64", reason="NOT_JSON") from error
    if value.get("contentType") != JSON_PATCH:
        problem = Violation("Binary.contentType", f"must be {JSON_PATCH}")
        raise InvalidInput("not a patch", [problem], reason="BAD_REQUEST")
    found = content.parse(data)
    return Patch(found if isinstance(found, list) else [found])
