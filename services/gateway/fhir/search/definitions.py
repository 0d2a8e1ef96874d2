"""What can be searched: the official R4 search parameters by resource type. Pure.

Source: the SearchParameters of FHIR 4.0.1, kept in parameters.json by make_definitions.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from services.gateway.fhir.search import schema
from services.gateway.fhir.search.expressions import Path, compile_expression

TYPES = schema.resource_types()
"""Every resource type of R4 that can be stored and searched."""

REFUSED = {
    "_text": "full text is not indexed; search by code, or by a string parameter",
    "_content": "full text is not indexed; search by code, or by a string parameter",
    "_list": "lists are not searched by; read the List and search by _id",
    "_filter": "filter expressions are not served; use the parameters of the type",
    "_query": "there are no named queries; use the parameters of the type",
    "near": "positions are not indexed; search a Location by its address",
}
"""Parameters of the standard that are refused by name, with what to do instead."""


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter."""

    definition: Definition
    """The parameter whose type the part has."""
    expression: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One search parameter of one resource type."""

    base: str
    code: str
    kind: str
    """number, date, string, token, reference, composite, quantity or uri."""
    expression: str
    targets: tuple[str, ...] = ()
    """Resource types a reference may point to."""
    components: tuple[Component, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where its values stand in a resource."""
        return _paths(self.base, self.expression)

    @property
    def folds(self) -> frozenset[bool]:
        """Whether case matters to its tokens (False), or not (True), or either."""
        return _folds(self.base, self.expression)


CASELESS = frozenset({"string", "markdown", "ContactPoint"})
"""Types whose values, as tokens, are compared without case."""


@cache
def _folds(base: str, expression: str) -> frozenset[bool]:
    kinds = set()
    for path in _paths(base, expression):
        kinds |= {key[1] for key in path.steps[-1].keys} if path.steps else {path.kind}
    return frozenset(kind in CASELESS for kind in kinds)


@cache
def _paths(base: str, expression: str) -> tuple[Path, ...]:
    return compile_expression(expression, base)


@cache
def _rows() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in schema.lines("parameters.json"):
        for base in row["base"]:
            found.setdefault(base, []).append(row)
    return found


@cache
def parameters(kind: str) -> dict[str, Definition]:
    """Return the parameters of a resource type by code, those of every type among them."""
    rows = [*_rows().get(kind, ()), *_rows()["Resource"], *_rows().get("DomainResource", ())]
    found: dict[str, Definition] = {}
    composites = []
    for row in rows if kind in TYPES else ():
        if row["code"] in REFUSED:
            continue
        code, targets = str(row["code"]), row.get("target", ())
        made = Definition(kind, code, str(row["type"]), str(row["expression"]), tuple(targets))
        found[code] = made
        if row["type"] == "composite":
            composites.append((made, row["component"]))
    for made, parts in composites:
        components = tuple(Component(found[part["code"]], part["expression"]) for part in parts)
        found[made.code] = Definition(
            kind, made.code, made.kind, made.expression, made.targets, components
        )
    return dict(sorted(found.items()))


@cache
def compartments() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return each compartment: its member types, with the parameters that make one a member."""
    return {
        row["code"]: {kind: tuple(codes) for kind, codes in row["resource"].items()}
        for row in schema.lines("compartments.json")
    }
