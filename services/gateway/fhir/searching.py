"""search-type: GET /fhir/{type}?…, POST /fhir/{type}/_search, and the same in a compartment.

A parameter that is not served is an error, or under `Prefer: handling=lenient` a warning in
the Bundle; it is never silently ignored (R4 search, 3.1.1.6). The self link says what was used.
Pages follow the place of the last entry, not an offset, so they stay stable while cases arrive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.responses import Response

from services.gateway.call import FORM_TYPE, Call, body
from services.gateway.fhir import answers, content, prefer
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.search import compartments
from services.gateway.fhir.search.costs import INCLUDED_MAX
from services.gateway.fhir.search.criteria import Member
from services.gateway.fhir.search.extract import EVERY
from services.gateway.fhir.search.query import AFTER, PARAMETERS_MAX, Query, parse
from services.gateway.fhir.search.shape import shaped
from services.gateway.store.audit_settling import KIND as AUDIT_EVENT
from services.gateway.store.search import Page
from services.gateway.store.stored import Stored
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, NotFound, Violation

FORM_BYTES_MAX = 128 << 10

Pairs = list[tuple[str, str]]


async def search(call: Call) -> Response:
    """Return a searchset Bundle of one type."""
    kind = content.kind_of(call.path("type"))
    answers.accept_json(call.request)
    call.principal.rights.covering(kind, "s")
    if kind == AUDIT_EVENT:
        await call.store.settling.catch_up(call.tenant)
    return await _answer(call, kind, kind, None)


async def in_compartment(call: Call) -> Response:
    """Return a searchset Bundle of one type, or with `*` of every type, of a compartment."""
    name = content.kind_of(call.path("compartment"))
    resource_id, kind = content.id_of(call.path("id"), name), call.path("type")
    if kind != EVERY:
        content.kind_of(kind)
    if name not in compartments.NAMES:
        raise NotFound(f"{name} has no compartment", reason="NOT_SERVED")
    answers.accept_json(call.request)
    if kind == EVERY:
        _any_covered(call, name)
    else:
        call.principal.rights.covering(kind, "s")
        if kind not in compartments.members(name):
            raise NotFound(f"{kind} is in no {name} compartment", reason="NOT_SERVED")
        if kind == AUDIT_EVENT:
            await call.store.settling.catch_up(call.tenant)
    local = f"{name}/{resource_id}"
    addresses = (local, f"{call.base_url}/fhir/{local}")
    return await _answer(call, kind, f"{local}/{kind}", Member(addresses))


def _any_covered(call: Call, name: str) -> None:
    visibility = call.principal.rights.visibility("s")
    if all(visibility.of(kind) == () for kind in compartments.members(name)):
        raise Forbidden("no scope allows this search", reason="INSUFFICIENT_SCOPE")


async def _answer(call: Call, kind: str, path: str, member: Member | None) -> Response:
    pairs, query = await asked(call, kind, member)
    visibility = call.principal.rights.visibility("s")
    page = await call.store.searches.page(call.tenant, query, visibility)
    shown = [*page.matches, *page.included]
    await call.audit(
        "search-type",
        "" if kind == EVERY else kind,
        seen=[f"{stored.type}/{stored.id}" for stored in shown],
        query=_url(f"/fhir/{path}", pairs),
    )
    return _bundle(call, path, query, page)


async def asked(call: Call, kind: str, member: Member | None = None) -> tuple[Pairs, Query]:
    """Return the parameters of a search, as they came and as they are read.

    Raises
    ------
    InvalidInput
        One that is not served, unless handling is lenient.
    """
    pairs = await _pairs(call)
    query = parse(
        kind,
        pairs,
        base_url=f"{call.base_url}/fhir",
        now_us=call.store.database.now_us(),
        compartment=member,
    )
    lenient = prefer.parse(call.request.headers.get("prefer", "")).lenient
    if query.unknown and not lenient:
        raise InvalidInput("a search parameter is not served", query.unknown, reason="BAD_REQUEST")
    return pairs, query


async def _pairs(call: Call) -> Pairs:
    pairs = list(call.request.query_params.multi_items())
    if call.request.method == "POST":
        if content.media_type(call) != FORM_TYPE:
            raise UnsupportedMediaType(f"_search takes {FORM_TYPE}")
        form = await body(call.request, FORM_BYTES_MAX)
        try:
            pairs += parse_qsl(
                form.decode(), keep_blank_values=True, max_num_fields=2 * PARAMETERS_MAX
            )
        except ValueError as error:
            raise InvalidInput("the form cannot be read", reason="BAD_REQUEST") from error
    return pairs


def _bundle(call: Call, path: str, query: Query, page: Page) -> Response:
    base = f"{call.base_url}/fhir"
    used = list(query.used)
    here = [*used, (AFTER, query.after)] if query.after else used
    links = [{"relation": "self", "url": _url(f"{base}/{path}", here)}]
    if page.next:
        links.append(
            {"relation": "next", "url": _url(f"{base}/{path}", [*used, (AFTER, page.next)])}
        )
    bundle: dict[str, object] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    entries = [*_entries(base, query, page.matches, "match")]
    entries += _entries(base, query, page.included, "include")
    if outcome := _outcome(query, page):
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(bundle), headers=headers, media_type=fhir.MEDIA_TYPE)


def _entries(
    base: str, query: Query, found: Sequence[Stored], mode: str
) -> Iterator[dict[str, object]]:
    names = query.elements if mode == "match" else ()
    for stored in found:
        plain = stored.content
        if query.summary or names:
            plain = fhir.dump(shaped(fhir.parse(plain), query.summary, names))
        yield {
            "fullUrl": f"{base}/{stored.type}/{stored.id}",
            "resource": orjson.Fragment(plain),
            "search": {"mode": mode},
        }


def _outcome(query: Query, page: Page) -> dict[str, object] | None:
    """Return warnings: parameters that were not used, and includes that a limit cut off."""
    issues = answers.issues_of(query.unknown, "warning", "not-supported")
    if not page.complete:
        problem = (
            f"a page includes at most {INCLUDED_MAX} resources, and more are referred to; "
            "lower _count, or search for them by themselves"
        )
        issues += answers.issues_of([Violation("http._include", problem)], "warning", "too-costly")
    return {"resourceType": "OperationOutcome", "issue": issues} if issues else None


def _url(address: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(list(pairs))}" if pairs else address
