"""index_of: everything a resource can be found by. Pure.

Expressions are compiled once per type; a parameter none of whose first elements the resource
has is passed over without following its paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from services.gateway.fhir.search import forms
from services.gateway.fhir.search.compartments import memberships
from services.gateway.fhir.search.definitions import Definition, parameters
from services.gateway.fhir.search.expressions import Path, compile_expression, follow
from services.gateway.fhir.search.measures import Measure
from services.gateway.fhir.search.ranges import Range
from services.gateway.fhir.search.values import Value, values
from services.kernel.errors import TooLarge

RULES = 1
"""Version of these rules: raise it when an index filled by the earlier ones must be refilled."""
ROWS_MAX = 500_000
"""Rows that one resource may take; a Group of 100,000 members takes about 300,000."""
EVERY = "*"
"""In place of a type: the term is of every type."""
COMPARTMENT = "_compartment"

Term = tuple[str, str, str]
"""(resource type or EVERY, parameter or "", form)."""


@dataclass(slots=True)
class Index:
    """The terms and ranges of one resource."""

    terms: set[Term] = field(default_factory=set)
    ranges: list[tuple[Term, int, int]] = field(default_factory=list)
    """Term, first and last value: µs of a date, `ranges.ordered` of a number."""


def index_of(resource: Mapping[str, Any]) -> Index:
    """Return what a resource as the store keeps it, meta included, is found by.

    Raises
    ------
    TooLarge
    """
    kind = str(resource.get("resourceType"))
    index = Index()
    index.terms.add((kind, "", ""))
    for code, parameter_type, found in _found(kind, resource):
        index.terms.add((kind, code, forms.PRESENT))
        _FORMS[parameter_type](index, kind, code, found)
        if len(index.terms) + len(index.ranges) > ROWS_MAX:
            raise TooLarge(f"the resource would take over {ROWS_MAX} rows of the search index")
    for member in memberships(kind, resource):
        index.terms.add((EVERY, COMPARTMENT, member))
    return index


def values_of(definition: Definition, resource: Mapping[str, Any]) -> list[Value]:
    """Return the values a parameter finds in a resource."""
    return [
        value
        for path in definition.paths
        for node in follow(path, resource, resource)
        for value in values(definition.kind, node, resource)
    ]


def composites_of(
    definition: Definition, resource: Mapping[str, Any]
) -> Iterator[tuple[list[Value], ...]]:
    """Yield, for each element a composite parameter is about, the values of its parts."""
    for path in definition.paths:
        for element, kind, _ in follow(path, resource, resource):
            yield tuple(
                [
                    value
                    for inner in _inner(part.expression, kind)
                    for node in follow(inner, element, resource)
                    for value in values(part.definition.kind, node, resource)
                ]
                for part in definition.components
            )


@cache
def _inner(expression: str, kind: str) -> tuple[Path, ...]:
    return compile_expression(expression, kind)


@cache
def _program(kind: str) -> list[tuple[str, str, tuple[tuple[tuple[str, ...], Path], ...]]]:
    """Return each parameter of a type with its paths and the names each path begins with."""
    return [
        (
            code,
            definition.kind,
            tuple((_first_names(path), path) for path in definition.paths),
        )
        for code, definition in parameters(kind).items()
        if definition.kind != "composite"
    ]


def _first_names(path: Path) -> tuple[str, ...]:
    return path.truth or tuple(key[0] for key in path.steps[0].keys)


def _found(kind: str, resource: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Value]]]:
    for code, parameter_type, paths in _program(kind):
        found: list[Value] = []
        for names, path in paths:
            for name in names:
                if name in resource:
                    break
            else:
                if not path.truth:
                    continue
            for node in follow(path, resource, resource):
                found.extend(values(parameter_type, node, resource))
        if found:
            yield code, parameter_type, found


def _terms(make: Callable[[Any], Iterator[str]]) -> Callable[[Index, str, str, list[Any]], None]:
    def add(index: Index, kind: str, code: str, found: list[Any]) -> None:
        index.terms.update((kind, code, form) for value in found for form in make(value))

    return add


def _ranges(index: Index, kind: str, code: str, found: list[Any]) -> None:
    distinct: set[Range] = set(found)
    index.ranges += [((kind, code, forms.RANGE), low, high) for low, high in distinct]
    _order(index, kind, code, found)


def _quantities(index: Index, kind: str, code: str, found: list[Any]) -> None:
    distinct: set[Measure] = set(found)
    index.ranges += {
        ((kind, code, form), measure.low, measure.high)
        for measure in distinct
        for form in forms.of_measure(measure)
    }
    _order(index, kind, code, found)


def _order(index: Index, kind: str, code: str, found: list[Any]) -> None:
    low, high = min(one.low for one in found), max(one.high for one in found)
    index.ranges.append(((kind, code, forms.ORDER), low, high))


_FORMS: dict[str, Callable[[Index, str, str, list[Any]], None]] = {
    "string": _terms(forms.of_string),
    "token": _terms(forms.of_token),
    "reference": _terms(forms.of_pointer),
    "uri": _terms(forms.of_uri),
    "date": _ranges,
    "number": _ranges,
    "quantity": _quantities,
}
