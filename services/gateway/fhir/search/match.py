"""Whether one resource meets conditions, decided from its content alone. Pure.

This is what the search index only narrows down to, and what scopes on writes and
subscriptions are decided by. A chain or `_has` needs other resources: `holds` refuses them.

Source: FHIR R4, search.html 3.1.1.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from services.gateway.access.rights import Permission, Visibility
from services.gateway.fhir.search import forms
from services.gateway.fhir.search.compartments import memberships
from services.gateway.fhir.search.criteria import (
    Amount,
    Code,
    Condition,
    Criterion,
    Parts,
    Span,
    Target,
    Text,
    Typed,
    Uri,
    Wanted,
)
from services.gateway.fhir.search.definitions import Definition
from services.gateway.fhir.search.extract import composites_of, values_of
from services.gateway.fhir.search.measures import Measure
from services.gateway.fhir.search.query import Query, parse_criteria
from services.gateway.fhir.search.ranges import Range
from services.gateway.fhir.search.strings import normal
from services.gateway.fhir.search.values import Pointer, Token, Value

Resource = Mapping[str, Any]

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = ("R", "V")
"""Labels of what only callers with that right may see, the strictest last."""


def matches(query: Query | Iterable[Condition], resource: Resource) -> bool:
    """Tell whether a resource is of a query's type and meets every condition."""
    if isinstance(query, Query):
        if resource.get("resourceType") != query.kind:
            return False
        if query.compartment and not _member(query.compartment.addresses, resource):
            return False
        query = query.criteria
    return all(holds(condition, resource) for condition in query)


def visible(visibility: Visibility, resource: Resource, *, base_url: str = "") -> bool:
    """Tell whether a resource may be seen."""
    kind = str(resource.get("resourceType"))
    if not visibility.restricted and (restricted(resource) or defers(resource)):
        return False
    rules = visibility.of(kind)
    return rules is None or any(fits(rule, resource, base_url=base_url) for rule in rules)


def fits(rule: Permission, resource: Resource, *, base_url: str = "") -> bool:
    """Tell whether a resource is what a permission is about: its compartment and criteria."""
    kind = str(resource.get("resourceType"))
    if not rule.names(kind):
        return False
    if rule.patient and not _member((f"Patient/{rule.patient}",), resource):
        return False
    return matches(_criteria(kind, rule.criteria, base_url), resource)


@lru_cache(maxsize=1024)
def _criteria(
    kind: str, criteria: tuple[tuple[str, str], ...], base_url: str
) -> tuple[Condition, ...]:
    return parse_criteria(kind, criteria, base_url=base_url)


def restricted(resource: Resource) -> bool:
    """Tell whether a resource is labelled R or V."""
    return any(True for _ in labels(resource))


def labels(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """Yield the labels of a resource that restrict who may see it."""
    meta = resource.get("meta")
    found = meta.get("security") if isinstance(meta, Mapping) else None
    for label in found if isinstance(found, list) else ():
        ours = isinstance(label, Mapping) and label.get("system") == CONFIDENTIALITY
        if ours and label.get("code") in RESTRICTED:
            yield label


def strictest(found: Iterable[Mapping[str, Any]]) -> str:
    """Return the strictest code of labels; empty: there is none."""
    codes = {label["code"] for label in found}
    return next((code for code in reversed(RESTRICTED) if code in codes), "")


def defers(resource: Resource) -> bool:
    """Tell whether a Binary leaves it to another resource who may read it (R4 binary, 2.38.3).

    That one may be labelled, so what decides from one resource alone shows such a Binary only
    to those who may see labelled resources as well; a read looks at the other one.
    """
    return resource.get("resourceType") == "Binary" and "securityContext" in resource


def _member(addresses: Iterable[str], resource: Resource) -> bool:
    found = memberships(str(resource.get("resourceType")), resource)
    return any(address in found for address in addresses)


def holds(condition: Condition, resource: Resource) -> bool:
    """Tell whether a resource meets a condition.

    Raises
    ------
    TypeError
        The condition follows references, or names a value set.
    """
    if not isinstance(condition, Criterion) or condition.modifier in ("in", "not-in"):
        raise TypeError("this needs other resources, and cannot be decided from one")
    definition, modifier = condition.definition, condition.modifier
    if definition.kind == "composite":
        return any(
            all(
                any(_is(value, want, part.definition, "") for value in found)
                for part, found, want in zip(
                    definition.components, group, wanted.parts, strict=True
                )
            )
            for group in composites_of(definition, resource)
            for wanted in condition.wanted
            if isinstance(wanted, Parts)
        )
    found = values_of(definition, resource)
    if modifier == "missing":
        return bool(found) != condition.missing
    met = any(
        _is(value, want, definition, modifier) for value in found for want in condition.wanted
    )
    return met != (modifier == "not")


def _is(value: Value, want: Wanted, definition: Definition, modifier: str) -> bool:
    """Tell whether one value is what is wanted."""
    if isinstance(value, Token):
        return _is_token(value, want)
    if isinstance(value, Pointer):
        return _is_pointer(value, want)
    if isinstance(value, Measure):
        return isinstance(want, Amount) and _is_measure(value, want)
    if isinstance(value, Range):
        return isinstance(want, Span) and any(bounds.hold(value) for bounds in want.any_of)
    if isinstance(want, Uri):
        return _is_uri(value, want.uri, modifier)
    return isinstance(want, Text) and _is_string(value, want, modifier)


def _is_string(value: str, want: Text, modifier: str) -> bool:
    if modifier == "exact":
        return value == want.written
    found = normal(value)
    return want.normal in found if modifier == "contains" else found.startswith(want.normal)


def _is_token(token: Token, want: Wanted) -> bool:
    if isinstance(want, Text):
        return any(normal(text).startswith(want.normal) for text in token.texts)
    if isinstance(want, Typed):
        return token.code == want.value and (want.system, want.code) in token.types
    if not isinstance(want, Code):
        return False
    if want.system is not None:
        no_system = not token.system or token.implied
        if want.system != token.system and (want.system or not no_system):
            return False
    if not want.code:
        return bool(want.system)
    if token.folded:
        return bool(token.code) and normal(token.code) == normal(want.code)
    return token.code == want.code


def _is_pointer(pointer: Pointer, want: Wanted) -> bool:
    if isinstance(want, Code):
        return pointer.identifier is not None and _is_token(pointer.identifier, want)
    if not isinstance(want, Target) or not pointer.url:
        return False
    if want.id and pointer.local and pointer.id == want.id:
        return True
    return pointer.url in want.urls and want.version in ("", pointer.version)


def _is_measure(measure: Measure, want: Amount) -> bool:
    if not any(bounds.hold(Range(measure.low, measure.high)) for bounds in want.any_of):
        return False
    if want.system is not None:
        return (measure.system, measure.code) == (want.system, want.unit)
    return not want.unit or want.unit in (measure.code, measure.unit)


def _is_uri(value: str, uri: str, modifier: str) -> bool:
    if modifier == "below":
        return value == uri or uri.removesuffix("/") in forms.beginnings(value)
    if modifier == "above":
        return value == uri or value.removesuffix("/") in forms.beginnings(uri)
    return value == uri
