"""history: GET …/_history of a resource, of a type, of everything the caller may see.

Newest first, deletions included. Pages follow the number every version has (its `seq`), so
they are stable while others write. What may not be seen is left out; a page looks at
`LOOKED_AT_MAX` versions at most and may then be short, with a link to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.fhir import answers, content, moments, prefer
from services.gateway.fhir.read import checked, sees
from services.gateway.progress import to_instant
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

COUNT_DEFAULT, COUNT_MAX = 50, 500
LOOKED_AT_MAX = 2000
BEFORE = "_before"
_KNOWN = frozenset({"_since", "_at", "_count", "_format", "_pretty", BEFORE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What part of a history is asked for."""

    kind: str = ""
    id: str = ""
    since_us: int = 0
    at: tuple[int, int] = (0, 0)
    """First and last µs of `_at`; (0, 0): not asked."""
    before_seq: int = 0
    count: int = COUNT_DEFAULT


async def of_instance(call: Call) -> Response:
    """Return every version of one resource."""
    kind, resource_id = checked(call)
    call.principal.rights.covering(kind, "r")
    found = await call.store.resources.find(call.tenant, kind, resource_id)
    if found is None or not await _seen_now(call, [found]):
        raise NotFound("there is no such resource")
    return await _answer(call, kind, resource_id, "history-instance")


async def of_type(call: Call) -> Response:
    """Return the versions of every resource of a type."""
    kind = content.kind_of(call.path("type"))
    call.principal.rights.covering(kind, "r")
    return await _answer(call, kind, "", "history-type")


async def of_system(call: Call) -> Response:
    """Return the versions of every resource."""
    return await _answer(call, "", "", "history-system")


async def _answer(call: Call, kind: str, resource_id: str, interaction: str) -> Response:
    answers.accept_json(call.request)
    pairs = list(call.request.query_params.multi_items())
    unknown = [Violation(f"http.{n[:64]}", "not served here") for n, _ in pairs if n not in _KNOWN]
    if unknown and not prefer.parse(call.request.headers.get("prefer", "")).lenient:
        raise InvalidInput("a parameter is not served", unknown, reason="BAD_REQUEST")
    asked = _asked(kind, resource_id, dict(pairs))
    page, following = await _page(call, asked)
    place = "/".join(part for part in (kind, resource_id) if part)
    await call.audit(
        interaction,
        place,
        seen=[f"{stored.type}/{stored.id}" for stored in page],
        query=trail.query_of(call.request),
    )
    base = f"{call.base_url}/fhir"
    address = f"{base}/{place}/_history" if place else f"{base}/_history"
    kept = [pair for pair in pairs if pair[0] != BEFORE]
    links = [{"relation": "self", "url": _url(address, pairs)}]
    if following:
        url = _url(address, [*kept, (BEFORE, str(following))])
        links.append({"relation": "next", "url": url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": links}
    if entries := [_entry(base, stored) for stored in page] + _outcome(unknown):
        bundle["entry"] = entries
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(bundle), headers=headers, media_type=fhir.MEDIA_TYPE)


async def _page(call: Call, asked: Asked) -> tuple[list[Stored], int]:
    """Return versions that may be seen, and the `seq` the next page begins before (0: none)."""
    page: list[Stored] = []
    before, looked_at = asked.before_seq, 0
    while looked_at < LOOKED_AT_MAX:
        wanted = min(asked.count + 1, LOOKED_AT_MAX)
        found = await call.store.resources.history(
            call.tenant,
            kind=asked.kind,
            resource_id=asked.id,
            since_us=asked.since_us,
            until_us=asked.at[1],
            before_seq=before,
            count=wanted,
        )
        seen = await _seen_now(call, found)
        for stored in found:
            looked_at += 1
            if stored in seen and await _was_current(call, asked, stored):
                if len(page) == asked.count:
                    return page, before
                page.append(stored)
            before = stored.seq
        if len(found) < wanted:
            return page, 0
    return page, before


async def _seen_now(call: Call, versions: list[Stored]) -> list[Stored]:
    """Return those that may be seen, by their own content and by their resource's as it is now.

    A deletion is shown to those who may see the version before it; see `read.sees`.
    """
    visibility = call.principal.rights.visibility("r")
    keys = list(dict.fromkeys((stored.type, stored.id) for stored in versions))
    now: dict[tuple[str, str], bool] = {}
    for stored in await call.store.resources.find_many(call.tenant, keys):
        now[(stored.type, stored.id)] = await sees(call, visibility, stored)
    return [
        stored
        for stored in versions
        if now.get((stored.type, stored.id)) and await sees(call, visibility, stored)
    ]


async def _was_current(call: Call, asked: Asked, stored: Stored) -> bool:
    """Tell whether a version was current at some moment of `_at`."""
    if not asked.at[1] or stored.updated_us >= asked.at[0]:
        return True
    # Written before the period: current in it unless it was replaced before it began.
    following = await call.store.resources.history(
        call.tenant,
        kind=stored.type,
        resource_id=stored.id,
        after_seq=stored.seq,
        count=1,
    )
    return not stored.deleted and (not following or following[0].updated_us > asked.at[0])


def _asked(kind: str, resource_id: str, parameters: dict[str, str]) -> Asked:
    since = at = (0, 0)
    if text := parameters.get("_since"):
        since = moments.period(text, "_since")
    if text := parameters.get("_at"):
        at = moments.period(text, "_at")
    count = _whole(parameters.get("_count", str(COUNT_DEFAULT)), "_count")
    before = _whole(parameters.get(BEFORE, "0"), BEFORE)
    return Asked(kind, resource_id, since[0], at, before, max(1, min(count, COUNT_MAX)))


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        problem = Violation(f"http.{name}", "a whole number, 0 or more")
        raise InvalidInput(f"{name} cannot be used", [problem], reason="BAD_REQUEST")
    return int(text)


def _entry(base: str, stored: Stored) -> dict[str, Any]:
    url = stored.type if stored.method == "POST" else f"{stored.type}/{stored.id}"
    first = stored.version == 1 or stored.method == "POST"
    status = "204" if stored.deleted else "201" if first else "200"
    entry: dict[str, Any] = {"fullUrl": f"{base}/{stored.type}/{stored.id}"}
    if not stored.deleted:
        entry["resource"] = orjson.Fragment(stored.content)
    entry["request"] = {"method": stored.method, "url": url}
    entry["response"] = {
        "status": status,
        "etag": answers.etag(stored.version),
        "lastModified": to_instant(stored.updated_us),
    }
    return entry


def _outcome(unknown: list[Violation]) -> list[dict[str, Any]]:
    """Return what was left aside under `Prefer: handling=lenient`, as an entry."""
    if not unknown:
        return []
    issues = answers.issues_of(unknown, "warning", "not-supported")
    return [
        {
            "resource": {"resourceType": "OperationOutcome", "issue": issues},
            "request": {"method": "GET", "url": "_history"},
            "response": {"status": "200"},
        }
    ]


def _url(address: str, pairs: list[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(pairs)}" if pairs else address
