"""`_include`, `_revinclude` and `:iterate`: what is shown beside the matches.

Bounded in resources and rounds, and safe where references run in circles: nothing is included
twice. Source: FHIR R4, search.html 3.1.1.5.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.gateway.fhir.search.costs import INCLUDED_MAX, ROUNDS_MAX
from services.gateway.fhir.search.criteria import Include
from services.gateway.fhir.search.definitions import Definition, parameters
from services.gateway.fhir.search.narrow import Terms
from services.gateway.fhir.search.query import Query
from services.gateway.store.search_links import Finder, keys_of, pointers
from services.gateway.store.search_scan import Candidate, Reading, reference_terms

Key = tuple[str, str]
TERMS_MAX = 2_000
"""Terms of one statement."""


async def included(
    finder: Finder, reading: Reading, query: Query, matches: Sequence[Candidate]
) -> tuple[list[Candidate], bool]:
    """Return what is included beside matches, and whether that is all of it."""
    seen: set[Key] = {(one.stored.type, one.stored.id) for one in matches}
    found: list[Candidate] = []
    frontier, first = list(matches), True
    for _ in range(ROUNDS_MAX):
        if not frontier:
            return found, True
        fresh = await _round(finder, reading, query, frontier, first, seen)
        room = INCLUDED_MAX - len(found)
        found += fresh[:room]
        if len(fresh) > room:
            return found, False
        frontier, first = fresh, False
    return found, not frontier


async def _round(
    finder: Finder,
    reading: Reading,
    query: Query,
    frontier: Sequence[Candidate],
    first: bool,
    seen: set[Key],
) -> list[Candidate]:
    fresh: list[Candidate] = []
    for include in query.includes:
        if first or include.iterate:
            fresh += await _forward(finder, reading, include, frontier, seen)
    for include in query.revincludes:
        if first or include.iterate:
            fresh += await _back(finder, reading, include, frontier, seen)
    return fresh


async def _forward(
    finder: Finder,
    reading: Reading,
    include: Include,
    frontier: Sequence[Candidate],
    seen: set[Key],
) -> list[Candidate]:
    wanted: dict[str, set[str]] = {}
    for one in frontier:
        if include.kind not in ("*", one.stored.type):
            continue
        for definition in _definitions(include, one.stored.type):
            for pointer in pointers(reading, definition, one):
                key = (pointer.kind, pointer.id)
                if key not in seen and include.target in ("", pointer.kind):
                    wanted.setdefault(pointer.kind, set()).add(pointer.id)
    fresh: list[Candidate] = []
    for kind, ids in sorted(wanted.items()):
        only = await keys_of(reading, kind, sorted(ids))
        if only.keys:
            fresh += await finder.find(reading, kind, [], only=only, limit=len(only.keys)) or []
    return _unseen(fresh, seen)


async def _back(
    finder: Finder,
    reading: Reading,
    include: Include,
    frontier: Sequence[Candidate],
    seen: set[Key],
) -> list[Candidate]:
    terms = [
        term
        for one in frontier
        if include.target in ("", one.stored.type)
        for definition in _definitions(include, include.kind)
        if not definition.targets or one.stored.type in definition.targets
        for term in reference_terms(
            reading, definition.base, definition.code, one.stored.type, [one.stored.id]
        )
    ]
    fresh: list[Candidate] = []
    for start in range(0, len(terms), TERMS_MAX):
        part = Terms(tuple(terms[start : start + TERMS_MAX]))
        limit = INCLUDED_MAX + 1 + len(seen)
        fresh += _unseen(await finder.first(reading, include.kind, part, limit=limit), seen)
        if len(fresh) > INCLUDED_MAX:
            break
    return fresh


def _unseen(found: Sequence[Candidate], seen: set[Key]) -> list[Candidate]:
    fresh = []
    for one in found:
        key = (one.stored.type, one.stored.id)
        if key not in seen:
            seen.add(key)
            fresh.append(one)
    return fresh


def _definitions(include: Include, kind: str) -> Iterator[Definition]:
    if include.definition is not None:
        yield include.definition
        return
    for definition in parameters(kind).values():
        if definition.kind == "reference":
            yield definition
