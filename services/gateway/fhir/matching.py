"""Conditional interactions: which resources a query means, inside the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from services.gateway.call import Call
from services.gateway.fhir.outcome import MultipleMatches
from services.gateway.fhir.search import match
from services.gateway.fhir.search.query import Query
from services.gateway.fhir.search.query import parse as parse_query
from services.gateway.store.writing import Writing
from services.kernel.errors import Conflict, InvalidInput, Violation

Key = tuple[str, str]
_NOT_CRITERIA = frozenset({"_format", "_pretty"})


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
    pairs = [
        pair for pair in parse_qsl(text, keep_blank_values=True) if pair[0] not in _NOT_CRITERIA
    ]
    if not pairs:
        problem = Violation("http.query", "at least one search parameter")
        raise InvalidInput("a condition is needed", [problem], reason="BAD_REQUEST")
    query = parse_query(kind, pairs, base_url=f"{call.base_url}/fhir")
    if query.unknown:
        raise InvalidInput(
            "a search parameter of the condition is not served", query.unknown, reason="BAD_REQUEST"
        )
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
