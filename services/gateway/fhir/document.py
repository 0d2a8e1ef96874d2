"""$document: GET or POST /fhir/Composition/{id}/$document, a Bundle of type document.

The Composition comes first, then all it refers to, and what a DiagnosticReport among those
refers to, so that a signed report is whole. With `persist=true` the Bundle is stored as well.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.access.principal import Action, require
from services.gateway.call import Call
from services.gateway.fhir import allowed, answers, content, references, writes
from services.gateway.fhir.read import sees
from services.gateway.fhir.search import match
from services.gateway.fhir.writes import Draft
from services.gateway.progress import to_instant
from services.gateway.store.database import now_us
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, Precondition, TooLarge, Violation

RESOURCES_MAX = 1000
FOLLOWED = frozenset({"DiagnosticReport"})
"""Types whose own references are taken along."""

Key = tuple[str, str]


async def document(call: Call) -> Response:
    """Return the document of a Composition."""
    composition_id = content.id_of(call.path("id"), "Composition")
    answers.accept_json(call.request)
    persist = await _persist(call)
    rights = call.principal.rights
    rights.covering("Composition", "r")
    composition = await call.store.resources.read(call.tenant, "Composition", composition_id)
    allowed.require_seen(rights.visibility("r"), composition)
    parts = await _parts(call, composition)
    bundle = _bundle(call, parts)
    seen = [f"{part.type}/{part.id}" for part in parts]
    name = f"Composition/{composition_id}"
    if not persist:
        query = trail.query_of(call.request)
        await call.audit("$document", name, seen=seen, query=query)
        headers = {"Cache-Control": "private, no-store"}
        return Response(orjson.dumps(bundle), headers=headers, media_type=fhir.MEDIA_TYPE)
    came = orjson.dumps(bundle)
    resource = await content.run_heavy(len(came), fhir.parse, came)
    draft = Draft("Bundle", resource, came, str(bundle["id"]), "POST", "c")
    draft = await writes.prepare(call, draft)
    async with writes.changing(call) as writing:
        [(stored, _)] = await writes.save(call, writing, [draft])
        await call.audit("$document", name, seen=[*seen, f"Bundle/{stored.id}"], writing=writing)
    headers = {"Location": f"{call.base_url}/fhir/{answers.address(stored)}"}
    return answers.resource(stored, status=201, headers=headers)


async def _persist(call: Call) -> bool:
    text = call.request.query_params.get("persist", "false")
    for name, value in await content.read_parameters(call):
        if name == "persist":
            text = "true" if value is True else "false"
    if text not in ("true", "false"):
        problem = Violation("http.persist", "true or false")
        raise InvalidInput("persist cannot be used", [problem], reason="BAD_REQUEST")
    if text == "true":
        require(call.principal, Action.WRITE)
        if call.session and call.request.method == "GET":
            raise Forbidden("a page may not store by GET", reason="CSRF")
    return text == "true"


async def _parts(call: Call, composition: Stored) -> list[Stored]:
    """Return the Composition and everything that belongs to it, each once.

    Raises
    ------
    Precondition
        Something that the Composition refers to here is not there, or may not be seen.
    TooLarge
    """
    visibility = call.principal.rights.visibility("r")
    parts: dict[Key, Stored] = {(composition.type, composition.id): composition}
    level = [composition]
    while level:
        wanted: dict[Key, None] = {}
        for part in level:
            for key in _references(call, part):
                if key not in parts:
                    wanted.setdefault(key)
        if len(parts) + len(wanted) > RESOURCES_MAX:
            raise TooLarge(f"a document may hold {RESOURCES_MAX} resources", reason="TOO_LARGE")
        found = await call.store.resources.find_many(call.tenant, list(wanted))
        shown = [s for s in found if not s.deleted and await sees(call, visibility, s)]
        if level == [composition] and len(shown) < len(wanted):
            raise Precondition(
                f"{len(wanted) - len(shown)} of the resources that the Composition refers to "
                "are not there; a document holds them all",
                reason="DOCUMENT_INCOMPLETE",
            )
        parts |= {(s.type, s.id): s for s in shown}
        level = [s for s in shown if s.type in FOLLOWED]
    return list(parts.values())


def _references(call: Call, part: Stored) -> list[Key]:
    found: list[Key] = []
    for _, literal in references.literals(fhir.parse(part.content), ""):
        target = references.restful(literal.removeprefix(f"{call.base_url}/fhir/"))
        if target and not target[0]:
            found.append(target[1:])
    return found


def _labels(parts: list[Stored]) -> list[dict[str, str]]:
    """Return the strictest label of the parts, which the document has too (R4 security-labels)."""
    held = [fhir.parse(part.content) for part in parts if allowed.may_be_labelled(part.content)]
    strictest = match.strictest(label for each in held for label in match.labels(each))
    return [{"system": match.CONFIDENTIALITY, "code": strictest}] if strictest else []


def _bundle(call: Call, parts: list[Stored]) -> dict[str, Any]:
    made = str(uuid.uuid4())
    labels = _labels(parts)
    return {
        "resourceType": "Bundle",
        "id": made,
        **({"meta": {"security": labels}} if labels else {}),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{made}"},
        "type": "document",
        "timestamp": to_instant(now_us()),
        "entry": [
            {
                "fullUrl": f"{call.base_url}/fhir/{part.type}/{part.id}",
                "resource": orjson.Fragment(part.content),
            }
            for part in parts
        ],
    }
