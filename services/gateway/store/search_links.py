"""Chains, `_has` and includes: searches that follow references.

References stand in the index as keyed hashes, so SQL cannot join over them. A chain is first
resolved: the resources at its other end are found, and become terms. Where there are too many
(`costs.LINKED_MAX`), each candidate's own references are followed instead, in chunks. Both give
the same result, and visibility holds at every step.
"""

# ruff: noqa: S608 - every part is written here; values are bound

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from services.gateway.fhir.search.costs import FOLLOWED_MAX, TooCostly
from services.gateway.fhir.search.criteria import Chain, Condition, Has
from services.gateway.fhir.search.definitions import Definition
from services.gateway.fhir.search.extract import values_of
from services.gateway.fhir.search.narrow import Only, Terms
from services.gateway.fhir.search.values import Pointer
from services.gateway.store.search_scan import (
    Candidate,
    Reading,
    reference_terms,
)


class Finder(Protocol):
    """Finds resources; `store.search` is the one."""

    async def find(
        self,
        reading: Reading,
        kind: str,
        conditions: Sequence[Condition],
        *,
        only: Only | None = None,
        limit: int,
    ) -> list[Candidate] | None:
        """Return all visible resources that meet conditions, read; None: more than `limit`."""

    async def first(
        self, reading: Reading, kind: str, terms: Terms, *, limit: int
    ) -> list[Candidate]:
        """Return the first visible resources under any of some terms, read."""


async def resolved(
    finder: Finder, reading: Reading, kind: str, condition: Chain | Has, limit: int
) -> Terms | None:
    """Return the terms of the resources of `kind` that meet a condition; None: too many."""
    if isinstance(condition, Has):
        sources = await finder.find(reading, condition.kind, [condition.inner], limit=limit)
        if sources is None:
            return None
        ids = {
            pointer.id
            for one in sources
            for pointer in pointers(reading, condition.definition, one)
            if pointer.kind == kind
        }
        return Terms(tuple((kind, "_id", f"c{one}") for one in sorted(ids)))
    terms: list[tuple[str, str, str]] = []
    base, code = condition.definition.base, condition.definition.code
    for target, inner in condition.links:
        found = await finder.find(reading, target, [inner], limit=limit)
        if found is None:
            return None
        terms += reference_terms(reading, base, code, target, [one.stored.id for one in found])
    return Terms(tuple(terms))


def pointers(reading: Reading, definition: Definition, candidate: Candidate) -> Iterable[Pointer]:
    """Yield where a resource's references lead to within this server."""
    own = f"{reading.base_url}/" if reading.base_url else ""
    for value in values_of(definition, candidate.resource):
        if not isinstance(value, Pointer) or not value.id:
            continue
        if value.local or (own and value.url == f"{own}{value.kind}/{value.id}"):
            yield value


async def following(
    finder: Finder, reading: Reading, condition: Chain | Has, candidates: list[Candidate]
) -> list[Candidate]:
    """Return those candidates whose own references lead to what a condition asks for."""
    if isinstance(condition, Has):
        return await _followed_back(finder, reading, condition, candidates)
    by_candidate = [
        {(p.kind, p.id) for p in pointers(reading, condition.definition, one)} for one in candidates
    ]
    good: set[tuple[str, str]] = set()
    for target, inner in condition.links:
        ids = sorted({i for found in by_candidate for kind, i in found if kind == target})
        if ids:
            only = await keys_of(reading, target, ids)
            found = await _all(finder, reading, target, inner, only)
            good |= {(target, one.stored.id) for one in found}
    return [one for one, found in zip(candidates, by_candidate, strict=True) if found & good]


async def _followed_back(
    finder: Finder, reading: Reading, condition: Has, candidates: list[Candidate]
) -> list[Candidate]:
    if not candidates:
        return []
    base, code = condition.definition.base, condition.definition.code
    terms = {
        reading.term(term)
        for one in candidates
        for term in reference_terms(reading, base, code, one.stored.type, [one.stored.id])
    }
    statement = reading.statement()
    tenant = statement.bind(reading.tenant)
    where = statement.one_of("term", sorted(terms), "bytea")
    rows = await statement.run(
        reading.connection,
        f"SELECT DISTINCT key FROM gateway_terms WHERE tenant = {tenant} AND {where}"
        f" LIMIT {statement.bind(FOLLOWED_MAX + 1)}",
    )
    only = _limited([row[0] for row in rows])
    found = await _all(finder, reading, condition.kind, condition.inner, only)
    good = {
        (pointer.kind, pointer.id)
        for one in found
        for pointer in pointers(reading, condition.definition, one)
    }
    return [one for one in candidates if (one.stored.type, one.stored.id) in good]


async def keys_of(reading: Reading, kind: str, ids: Sequence[str]) -> Only:
    """Return the keys of the resources of a type that exist."""
    found: list[int] = []
    for start in range(0, len(ids), 500):
        statement = reading.statement()
        own = f"tenant = {statement.bind(reading.tenant)} AND type = {statement.bind(kind)}"
        where = statement.one_of("id", list(ids[start : start + 500]), "varchar")
        rows = await statement.run(
            reading.connection,
            f"SELECT key FROM gateway_current WHERE {own} AND {where} AND NOT deleted",
        )
        found += [row[0] for row in rows]
    return _limited(found)


def _limited(keys: list[int]) -> Only:
    if len(keys) > FOLLOWED_MAX:
        raise TooCostly(
            "a chain or _has leads through too many resources; add a parameter that narrows it"
        )
    return Only(tuple(keys))


async def _all(
    finder: Finder, reading: Reading, kind: str, inner: Condition, only: Only
) -> list[Candidate]:
    found: list[Candidate] = []
    for start in range(0, len(only.keys), 500):
        part = Only(only.keys[start : start + 500])
        found += await finder.find(reading, kind, [inner], only=part, limit=500) or []
    return found
