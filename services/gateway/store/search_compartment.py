"""A compartment searched whole: resources of every type at once."""

from __future__ import annotations

from services.gateway.fhir.search.compartments import members
from services.gateway.fhir.search.costs import TooCostly
from services.gateway.fhir.search.extract import EVERY
from services.gateway.fhir.search.narrow import All, Either, Filter, listing, member, seen
from services.gateway.fhir.search.query import Query
from services.gateway.store.search_scan import Pass, Reading


def of_every_type(reading: Reading, query: Query) -> Pass:
    """Return the pass over every type of a compartment."""
    if query.compartment is None or query.criteria:
        raise TooCostly("name the resource type to search by its parameters")
    name = query.compartment.addresses[0].partition("/")[0]
    parts: list[Filter] = []
    exact = True
    for kind in sorted(members(name)):
        sight, _ = seen(kind, reading.visibility, reading.base_url)
        exact = exact and sight.exact
        parts.append(All((listing(kind), sight.filter)))
    rules = None if exact else reading.visibility.rules
    return Pass(EVERY, (member(query.compartment), Either(tuple(parts))), rules=rules)
