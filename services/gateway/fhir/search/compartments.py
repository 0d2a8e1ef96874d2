"""Compartments: which Patient, Encounter, Practitioner, RelatedPerson or Device a resource is of.

Source: the CompartmentDefinitions of FHIR R4; compartmentdefinition.html. A resource is in
its own compartment ("{def}").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from services.gateway.fhir.search.definitions import compartments, parameters
from services.gateway.fhir.search.expressions import Path, follow
from services.gateway.fhir.search.values import Pointer, values

NAMES = ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")


@cache
def _members(kind: str) -> tuple[tuple[str, Path], ...]:
    """Return, for a member type, each compartment with a path that leads to its owner."""
    found = []
    for name, members in compartments().items():
        for code in members.get(kind, ()):
            definition = parameters(kind).get(code)
            found += [(name, path) for path in (definition.paths if definition else ())]
    return tuple(dict.fromkeys(found))


def memberships(kind: str, resource: Mapping[str, Any]) -> set[str]:
    """Return every compartment a resource is in, as Patient/1 or as the whole address."""
    found = set()
    if kind in NAMES and isinstance(resource.get("id"), str):
        found.add(f"{kind}/{resource['id']}")
    for name, path in _members(kind):
        for node in follow(path, resource, resource):
            for value in values("reference", node, resource):
                if isinstance(value, Pointer) and value.kind == name and value.url:
                    found.add(value.url)
    return found


def in_compartment(resource: Mapping[str, Any], name: str, resource_id: str) -> bool:
    """Tell whether a resource is in the compartment of e.g. Patient and an id."""
    return f"{name}/{resource_id}" in memberships(str(resource.get("resourceType")), resource)


@cache
def members(name: str) -> frozenset[str]:
    """Return the types that may be in a compartment, the owner's own among them."""
    return frozenset(compartments()[name]) | {name}


def compartment_names() -> Iterator[str]:
    """Yield the names of the compartments."""
    yield from NAMES
