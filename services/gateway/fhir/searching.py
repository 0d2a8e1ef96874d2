"""search-type: GET /fhir/{type}?… and POST /fhir/{type}/_search.

A parameter that is not served is an error, or under `Prefer: handling=lenient` a warning in
the Bundle; it is never silently ignored (R4 search, 3.1.1.6). Pages follow the place of the
last entry, not an offset, so they stay stable while cases arrive.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call, body
from services.gateway.fhir import answers
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.parameters import MANY_MAX, PARAMETERS, Parameter
from services.gateway.store.resources import Criterion, Place, Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

COUNT_DEFAULT, COUNT_MAX = 20, 200
FORM_BYTES_MAX = 64 << 10
AFTER = "_after"
_HANDLED = frozenset({"_count", "_format", "_pretty", AFTER})

Pairs = list[tuple[str, str]]


async def search(call: Call) -> Response:
    """Return a searchset Bundle."""
    kind = call.path("type")
    if kind not in PARAMETERS:
        raise NotFound("this resource type is not served", reason="TYPE_NOT_SERVED")
    answers.accept_json(call.request)
    pairs = await _pairs(call)
    criteria, unknown = _criteria(kind, pairs)
    if unknown and "handling=lenient" not in call.request.headers.get("prefer", ""):
        raise InvalidInput("a search parameter is not served", unknown, reason="BAD_REQUEST")
    count = _count(pairs)
    after = _place(dict(pairs).get(AFTER, ""))
    found = await call.store.resources.search(
        call.tenant, kind, criteria, count=count + 1, after=after
    )
    page, more = found[:count], len(found) > count
    seen = [f"{kind}/{stored.id}" for stored in page]
    await call.audit("search-type", kind, seen=seen, query=trail.query_of(call.request))
    return _bundle(call, kind, pairs, page, more=more, warnings=unknown)


async def _pairs(call: Call) -> Pairs:
    pairs = list(call.request.query_params.multi_items())
    if call.request.method == "POST":
        kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise UnsupportedMediaType("_search takes application/x-www-form-urlencoded")
        text = (await body(call.request, FORM_BYTES_MAX)).decode("utf-8", "replace")
        pairs += parse_qsl(text, keep_blank_values=True)
    return pairs


def _criteria(kind: str, pairs: Pairs) -> tuple[list[Criterion], list[Violation]]:
    """Return what to search by, and the parameters that are not served."""
    known = {parameter.name: parameter for parameter in PARAMETERS[kind]}
    criteria: list[Criterion] = []
    unknown: list[Violation] = []
    for name, text in pairs:
        if name in _HANDLED:
            continue
        if name == "_id":
            criteria.append(Criterion(None, _many(name, text)))
        elif name in known:
            parameter = known[name]
            wanted = tuple(v for t in _many(name, text) for v in _wanted(parameter, t))
            criteria.append(Criterion(parameter, wanted))
        else:
            served = ", ".join(["_id", "_count", *known])
            unknown.append(Violation(f"http.{name[:64]}", f"not served here; served: {served}"))
    return criteria, unknown


def _many(name: str, text: str) -> tuple[str, ...]:
    parts = tuple(part for part in text.split(",") if part)
    if not 0 < len(parts) <= MANY_MAX or any(len(part) > 256 for part in parts):
        problem = Violation(f"http.{name}", f"1 to {MANY_MAX} values of at most 256 characters")
        raise InvalidInput("a search value cannot be used", [problem], reason="BAD_REQUEST")
    return parts


def _wanted(parameter: Parameter, text: str) -> tuple[str, ...]:
    if parameter.kind == "reference" and "/" not in text and parameter.target:
        return (f"{parameter.target}/{text}",)
    return (text,)


def _count(pairs: Pairs) -> int:
    text = dict(pairs).get("_count", str(COUNT_DEFAULT))
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        problem = Violation("http._count", "a whole number, 0 or more")
        raise InvalidInput("_count cannot be used", [problem], reason="BAD_REQUEST")
    return min(int(text), COUNT_MAX)


def _place(text: str) -> Place | None:
    if not text:
        return None
    try:
        updated_us, resource_id = orjson.loads(base64.urlsafe_b64decode(text))
        return int(updated_us), str(resource_id)
    except (ValueError, TypeError) as error:
        problem = Violation(f"http.{AFTER}", "not a page this server gave out")
        raise InvalidInput("there is no such page", [problem], reason="BAD_REQUEST") from error


def _bundle(
    call: Call,
    kind: str,
    pairs: Pairs,
    page: Sequence[Stored],
    *,
    more: bool,
    warnings: Sequence[Violation],
) -> Response:
    base = f"{call.base_url}/fhir"
    kept = [(name, value) for name, value in pairs if name != AFTER]
    links = [{"relation": "self", "url": _url(base, kind, pairs)}]
    if more and page:
        last = orjson.dumps([page[-1].updated_us, page[-1].id])
        place = base64.urlsafe_b64encode(last).decode()
        links.append({"relation": "next", "url": _url(base, kind, [*kept, (AFTER, place)])})
    entries: list[dict[str, object]] = [
        {
            "fullUrl": f"{base}/{kind}/{stored.id}",
            "resource": orjson.Fragment(stored.content),
            "search": {"mode": "match"},
        }
        for stored in page
    ]
    if warnings:
        entries.append({"resource": _warning(warnings), "search": {"mode": "outcome"}})
    bundle: dict[str, object] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if entries:
        bundle["entry"] = entries
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(bundle), headers=headers, media_type=fhir.MEDIA_TYPE)


def _warning(warnings: Sequence[Violation]) -> dict[str, object]:
    issues = [
        {
            "severity": "warning",
            "code": "not-supported",
            "details": {"text": w.problem},
            "expression": [w.path],
        }
        for w in warnings
    ]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _url(base: str, kind: str, pairs: Pairs) -> str:
    query = f"?{urlencode(pairs)}" if pairs else ""
    return f"{base}/{kind}{query}"
