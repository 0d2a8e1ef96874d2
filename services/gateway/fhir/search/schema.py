"""The elements of every R4 type, with their types. Pure.

Source: the StructureDefinitions of FHIR 4.0.1, kept in schema.json by make_definitions.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson

ABSTRACT = frozenset({"Resource", "DomainResource", "Parameters"})
"""Resource types that no address serves."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: the types its value may have, and how R4 marks it."""

    name: str
    types: tuple[str, ...]
    summary: bool
    required: bool = False
    system: str = ""
    """Code system of a code whose binding is required and names one system."""
    choice: bool = False
    """Whether JSON writes the type after the name, as in valueQuantity."""

    def key(self, kind: str) -> str:
        """Return the name JSON writes for a value of a type."""
        return f"{self.name}{kind[0].upper()}{kind[1:]}" if self.choice else self.name


def lines(name: str) -> Any:
    """Return the JSON of one of this folder's data files."""
    return orjson.loads((resources.files(__package__) / name).read_bytes())


@cache
def _types() -> dict[str, dict[str, Any]]:
    return {line["type"]: line for line in lines("schema.json")}


@cache
def resource_types() -> frozenset[str]:
    """Return every resource type of R4 that can be stored."""
    return frozenset(
        name
        for name, line in _types().items()
        if line["kind"] == "resource" and "." not in name and name not in ABSTRACT
    )


@cache
def element_names() -> frozenset[str]:
    """Return the name of every element of any type, as JSON writes it."""
    return frozenset(
        element.key(value.rpartition(".")[2])
        for kind in _types()
        for element in elements(kind).values()
        for value in element.types
    )


@cache
def elements(kind: str) -> dict[str, Element]:
    """Return the elements of a type by name, a choice by its name without [x].

    `kind` is a type, or the path of a backbone element such as Observation.component; one
    that is not known, as of a primitive, has none.
    """
    found = {}
    for written, (types, marks, *system) in (
        _types().get(kind, {"elements": {}})["elements"].items()
    ):
        name = written.removesuffix("[x]")
        choice = name != written
        found[name] = Element(
            name,
            tuple(types),
            bool(marks & 1),
            bool(marks & 2),
            system[0] if system else "",
            choice,
        )
    return found
