"""Conditional interactions: which resources a query means, inside the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from services.gateway.call import Call
from services.gateway.fhir.outcome import MultipleMatches
from services.gateway.fhir.search import match
from services.gateway.fhir.search.query import Query
from services.gateway.fhir.search.query import parse as parse_query
from services.gateway.fhir.search.results import PASSED_OVER, is_result_parameter
from services.gateway.store.writing import Writing
from services.kernel.errors import Conflict, InvalidInput, Violation

Key = tuple[str, str]


def condition(call: Call, kind: str, text: str) -> Query:
    """Return the query in a condition, such as `identifier=urn:x|1`.

    Raises
    ------
    InvalidInput
        No criterion, or one that is not served: a condition is never read half.
    Forbidden
        The caller may not search this type.
    """
    call.principal.rights.covering(kind, "s")
    pairs = parse_qsl(text, keep_blank_values=True)
    query = parse_query(kind, pairs, base_url=f"{call.base_url}/fhir")
    wrong = list(query.unknown)
    for name, _ in query.used:
        if is_result_parameter(name) and name not in PASSED_OVER:
            wrong.append(Violation(f"http.{name}", "is no condition"))
    if not query.criteria:
        wrong.append(Violation("http.query", "at least one search parameter"))
    if wrong:
        raise InvalidInput("the condition cannot be used", wrong, reason="BAD_REQUEST")
    return query


def none_exist(call: Call, kind: str, header: str, query: str) -> str:
    """Return the condition of a create: of `If-None-Exist`, or of the query in its address.

    HAPI's client sends the header with the address before the query, fhirpy no header.

    Raises
    ------
    InvalidInput
        The address is not that of the type, at this server, or both say something.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = urlencode([pair for pair in pairs if pair[0] not in PASSED_OVER])
    if asked and header:
        problem = Violation("http.If-None-Exist", "in the header or in the address, not in both")
        raise InvalidInput("the condition cannot be used", [problem], reason="BAD_REQUEST")
    return asked or _of_header(call, kind, header)


def _of_header(call: Call, kind: str, header: str) -> str:
    path, asks, query = header.partition("?")
    if not asks or "=" in path:  # a question mark in a value
        return header
    if path.removeprefix(f"{call.base_url}/fhir/").lstrip("/") not in ("", kind):
        problem = Violation("http.If-None-Exist", f"must be a query, or {kind}? and a query")
        raise InvalidInput("the condition cannot be used", [problem], reason="BAD_REQUEST")
    return query


async def one(call: Call, writing: Writing, kind: str, query: Query) -> Key | None:
    """Return the one resource that meets a condition, or None where none does.

    Raises
    ------
    MultipleMatches
        Several do.
    """
    visibility = call.principal.rights.visibility("s")
    found = await call.store.searches.keys(writing.connection, call.tenant, query, visibility, 2)
    if len(found) > 1:
        raise MultipleMatches("several resources meet the condition")
    return found[0] if found else None


def taken(kind: str) -> Conflict:
    """Return the error of a resource that would be created under an id that is in use."""
    return Conflict(
        f"a {kind} with this id is there already, and does not meet the condition",
        reason="ID_TAKEN",
    )


def meets(query: Query, resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource that is not stored yet meets a condition.

    A condition that follows references is only looked up in the store.
    """
    try:
        return match.matches(query, resource)
    except TypeError:
        return False
