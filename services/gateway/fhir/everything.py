"""$everything: GET or POST /fhir/Patient/{id}/$everything, all that is kept of one patient.

The resources of the patient's compartment, type by type, and what they refer to outside of
it (practitioners, organizations, devices …), as far as the caller may see them. `_since`,
`_type`, `_count`, `start` and `end` (of the date of care, where a type has one). Pages follow
the place of the last resource, so they are stable while others write.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.access.rights import ANY, LETTERS, Permission, Rights, Visibility
from services.gateway.call import Call
from services.gateway.fhir import allowed, answers, content, moments, references
from services.gateway.fhir.read import sees
from services.gateway.fhir.search import compartments
from services.gateway.fhir.search.definitions import parameters
from services.gateway.fhir.search.query import AFTER, parse
from services.gateway.progress import to_instant
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

COUNT_DEFAULT, COUNT_MAX = 100, 200
REFERENCED_MAX = 500
"""Resources outside of the compartment on one page."""
PLACE = "_place"
_KNOWN = ("_since", "_type", "_count", "start", "end", "_format", "_pretty", PLACE)


async def everything(call: Call) -> Response:
    """Return a page of what is kept of a patient."""
    patient = content.id_of(call.path("id"), "Patient")
    answers.accept_json(call.request)
    rights = call.principal.rights
    rights.covering("Patient", "r")
    found = await call.store.resources.read(call.tenant, "Patient", patient)
    allowed.require_seen(rights.visibility("r"), found)
    asked = await _asked(call)
    kinds = _kinds(asked)
    inside = Rights((Permission(ANY, LETTERS, patient),), restricted=True)
    visibility = rights.within(inside).visibility("r")
    page, following = await _page(call, visibility, asked, kinds)
    outside = await _referenced(call, page, asked)
    await call.audit(
        "$everything",
        f"Patient/{patient}",
        patient=f"Patient/{patient}",
        seen=[f"{stored.type}/{stored.id}" for stored in (*page, *outside)],
        query=trail.query_of(call.request),
    )
    return _bundle(call, patient, asked, page, outside, following)


async def _asked(call: Call) -> dict[str, str]:
    """Return the parameters, from the address or from Parameters in the content."""
    pairs = list(call.request.query_params.multi_items())
    pairs += [(name, str(value)) for name, value in await content.read_parameters(call)]
    unknown = [Violation(f"http.{n[:64]}", "not served here") for n, _ in pairs if n not in _KNOWN]
    if unknown:
        raise InvalidInput("a parameter is not served", unknown, reason="BAD_REQUEST")
    asked: dict[str, str] = {}
    for name, value in pairs:
        asked[name] = f"{asked[name]},{value}" if name == "_type" and name in asked else value
    return asked


def _kinds(asked: dict[str, str]) -> list[str]:
    """Return the types to look through, the patient's own first."""
    kinds = sorted(compartments.members("Patient") - {"Patient"})
    kinds.insert(0, "Patient")
    if wanted := asked.get("_type"):
        names = {content.kind_of(name) for name in wanted.split(",") if name}
        kinds = [kind for kind in kinds if kind in names]
    return kinds


async def _page(
    call: Call, visibility: Visibility, asked: dict[str, str], kinds: list[str]
) -> tuple[list[Stored], str]:
    """Return at most `_count` resources, and where the next page begins ("": none)."""
    count, (kind, after) = _count(asked), _place(asked)
    if kind:
        if kind not in kinds:
            raise _no_page()
        kinds = kinds[kinds.index(kind) :]
    page: list[Stored] = []
    for kind in kinds:
        pairs = [*_criteria(kind, asked), ("_count", str(count - len(page)))]
        if after:
            pairs.append((AFTER, after))
        if visibility.of(kind) != ():
            query = parse(kind, pairs, base_url=f"{call.base_url}/fhir")
            found = await call.store.searches.page(call.tenant, query, visibility)
            page += found.matches
            if found.next:
                return page, _written_place(kind, found.next)
        after = ""
        if len(page) >= count and kind != kinds[-1]:
            return page, _written_place(kinds[kinds.index(kind) + 1], "")
    return page, ""


def _criteria(kind: str, asked: dict[str, str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if since := asked.get("_since"):
        pairs.append(("_lastUpdated", f"ge{to_instant(moments.period(since, '_since')[0])}"))
    date = parameters(kind).get("date")
    for name, prefix in (("start", "ge"), ("end", "le")):
        if text := asked.get(name):
            moments.period(text, name)
            if date is not None and date.kind == "date":
                pairs.append(("date", f"{prefix}{text}"))
    return pairs


async def _referenced(call: Call, page: list[Stored], asked: dict[str, str]) -> list[Stored]:
    """Return what the page refers to outside of the compartment, as far as it may be seen."""
    inside = compartments.members("Patient")
    wanted = set(asked.get("_type", "").split(",")) - {""}
    keys: dict[tuple[str, str], None] = {}
    for stored in page:
        for _, literal in references.literals(fhir.parse(stored.content), ""):
            target = references.restful(literal.removeprefix(f"{call.base_url}/fhir/"))
            if not target or target[0] or target[1] in inside:
                continue
            if not wanted or target[1] in wanted:
                keys.setdefault(target[1:])
    found = await call.store.resources.find_many(call.tenant, list(keys)[:REFERENCED_MAX])
    visibility = call.principal.rights.visibility("r")
    return [s for s in found if not s.deleted and await sees(call, visibility, s)]


def _bundle(
    call: Call,
    patient: str,
    asked: dict[str, str],
    page: Iterable[Stored],
    outside: Iterable[Stored],
    following: str,
) -> Response:
    base = f"{call.base_url}/fhir"
    address = f"{base}/Patient/{patient}/$everything"
    links = [{"relation": "self", "url": _url(address, asked)}]
    if following:
        links.append({"relation": "next", "url": _url(address, {**asked, PLACE: following})})
    entries = [
        {
            "fullUrl": f"{base}/{stored.type}/{stored.id}",
            "resource": orjson.Fragment(stored.content),
            "search": {"mode": mode},
        }
        for mode, found in (("match", page), ("include", outside))
        for stored in found
    ]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if entries:
        bundle["entry"] = entries
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(bundle), headers=headers, media_type=fhir.MEDIA_TYPE)


def _count(asked: dict[str, str]) -> int:
    text = asked.get("_count", str(COUNT_DEFAULT))
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        problem = Violation("http._count", "a whole number, 1 or more")
        raise InvalidInput("_count cannot be used", [problem], reason="BAD_REQUEST")
    return max(1, min(int(text), COUNT_MAX))


def _written_place(kind: str, after: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([kind, after])).decode()


def _place(asked: dict[str, str]) -> tuple[str, str]:
    if not (text := asked.get(PLACE)):
        return "", ""
    try:
        kind, after = orjson.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError) as error:
        raise _no_page() from error
    return str(kind), str(after)


def _no_page() -> InvalidInput:
    problem = Violation(f"http.{PLACE}", "not a page this server gave out")
    return InvalidInput("there is no such page", [problem], reason="BAD_REQUEST")


def _url(address: str, asked: dict[str, str]) -> str:
    return f"{address}?{urlencode(asked)}" if asked else address
