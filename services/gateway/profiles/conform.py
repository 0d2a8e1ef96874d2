"""Whether a resource conforms to a profile of ours: cardinality, fixed values, patterns,
bindings, reference targets, extensions and slices. Pure.

It reads the StructureDefinition's differential, its parents' first. What R4 itself demands is
`kernel.fhir.problems`' part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from services.gateway.profiles.definitions import codes_of, profiles, url_of
from services.kernel.errors import Violation

Json = Any
PRIMITIVE = "\x00value"
"""Where the value of a primitive with extensions is kept while its element is looked at."""


@dataclass(slots=True)
class Node:
    """One element of a differential, with what lies under it."""

    element: Mapping[str, Json] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)


def problems(resource: Mapping[str, Json]) -> list[Violation]:
    """Return what is wrong with a resource under each profile of ours that it claims."""
    claimed = resource.get("meta", {}).get("profile", [])
    names = {url_of(name): name for name in profiles()}
    return [
        violation
        for url in claimed
        if url in names
        for violation in problems_under(resource, names[url])
    ]


def problems_under(resource: Mapping[str, Json], name: str) -> list[Violation]:
    """Return what is wrong with a resource under a profile, its parents included."""
    definition = profiles()[name]
    if resource.get("resourceType") != definition["type"]:
        return [Violation("resourceType", f"{name} is for {definition['type']}")]
    found: list[Violation] = []
    _children(_tree(name), resource, definition["type"], found)
    return list(dict.fromkeys(found))


def _line(name: str) -> list[str]:
    """Return a profile's parents of ours, the first one first, and the profile."""
    names = {url_of(each): each for each in profiles()}
    parent = names.get(profiles()[name]["baseDefinition"])
    return [*(_line(parent) if parent else []), name]


@cache
def _tree(name: str) -> Node:
    """Return the elements of a profile; what a parent says holds, and a child says more."""
    root = Node()
    lines = [profiles()[each]["differential"]["element"][1:] for each in _line(name)]
    for element in (each for line in lines for each in line):
        node = root
        for step in element["id"].split(".")[1:]:
            base, _, slice_name = step.partition(":")
            node = node.children.setdefault(base, Node())
            if slice_name:
                node = node.slices.setdefault(slice_name, Node())
        node.element = {**node.element, **element}
    return root


def _children(node: Node, value: Json, path: str, found: list[Violation]) -> None:
    for name, child in node.children.items():
        _check(child, _values(value, name), f"{path}.{name}", found)


def _check(node: Node, values: Sequence[Json], path: str, found: list[Violation]) -> None:
    element = node.element
    low, high = element.get("min", 0), element.get("max", "*")
    if len(values) < low or (high != "*" and len(values) > int(high)):
        found.append(Violation(path, f"{low}..{high} needed, {len(values)} there"))
    for value in values:
        for problem in _own_problems(element, value):
            found.append(Violation(path, problem))
        _children(node, value, path, found)
    for name, inner in node.slices.items():
        matching = [v for v in values if _in_slice(element, inner, v)]
        _check(inner, matching, f"{path}:{name}", found)
        for value in matching:
            found += _extension_problems(inner, value, f"{path}:{name}")


def _own_problems(element: Mapping[str, Json], value: Json) -> list[str]:
    """Return how a value breaks what its element says of it alone."""
    found: list[str] = []
    plain = _plain(value)
    for name, wanted in element.items():
        if name.startswith("fixed") and plain != wanted:
            found.append("not the fixed value")
        elif name.startswith("pattern") and not _has_pattern(plain, wanted):
            found.append("not the pattern")
    if "binding" in element and not _is_bound(plain, element["binding"]["valueSet"]):
        found.append(f"no code of {element['binding']['valueSet']}")
    types = element.get("type", [])
    if types and isinstance(value, _Typed):
        kinds = [each["code"] for each in types]
        if value.kind not in [kind[0].upper() + kind[1:] for kind in kinds]:
            found.append(f"must be {' or '.join(kinds)}")
    if types and types[0]["code"] == "Reference" and not _is_target(plain, types):
        found.append("names a resource of another type")
    return found


def _is_bound(value: Json, value_set: str) -> bool:
    codes = codes_of(value_set)
    if isinstance(value, str):
        return any(code == value for _, code in codes)
    if not isinstance(value, Mapping):
        return False
    codings = value.get("coding", []) if "code" not in value else [value]
    return any((c.get("system"), c.get("code")) in codes for c in codings)


def _is_target(value: Json, types: Sequence[Mapping[str, Json]]) -> bool:
    if not isinstance(value, Mapping):
        return False
    allowed = {url.rpartition("/")[2] for each in types for url in each.get("targetProfile", [])}
    named = value.get("type") or str(value.get("reference", "")).split("/")[0]
    return not allowed or named in allowed


def _has_pattern(value: Json, wanted: Json) -> bool:
    """Tell whether everything in the pattern is in the value (R4 ElementDefinition.pattern)."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            name in value and _has_pattern(value[name], inner) for name, inner in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(
            any(_has_pattern(each, inner) for each in value) for inner in wanted
        )
    return bool(value == wanted)


def _in_slice(sliced: Mapping[str, Json], inner: Node, value: Json) -> bool:
    """Tell whether a value belongs to a slice: what the discriminators name is as it says."""
    for discriminator in sliced["slicing"]["discriminator"]:
        steps = [] if discriminator["path"] == "$this" else discriminator["path"].split(".")
        profile = _profile_of(inner)
        if steps == ["url"] and profile:
            if _plain(value).get("url") != profile:
                return False
            continue
        node, values = inner, [value]
        for step in steps:
            node = node.children.get(step, Node())
            values = [each for one in values for each in _values(one, step)]
        if not values or any(_own_problems(node.element, each) for each in values):
            return False
    return True


def _extension_problems(inner: Node, value: Json, path: str) -> list[Violation]:
    """Return what is wrong with an extension under its own definition."""
    url = _profile_of(inner)
    name = next((each for each in profiles() if url_of(each) == url), "")
    found: list[Violation] = []
    if name:
        _children(_tree(name), value, path, found)
    return found


def _profile_of(node: Node) -> str:
    types = node.element.get("type", [])
    return str(types[0]["profile"][0]) if types and "profile" in types[0] else ""


@dataclass(frozen=True, slots=True)
class _Typed:
    """The value of a choice element, with its type's name."""

    kind: str
    value: Json


def _plain(value: Json) -> Json:
    if isinstance(value, _Typed):
        return value.value
    if isinstance(value, Mapping) and PRIMITIVE in value:
        return value[PRIMITIVE]
    return value


def _values(value: Json, name: str) -> list[Json]:
    """Return what stands under a name; a choice with its type, a primitive with its extensions."""
    value = _plain(value) if isinstance(value, _Typed) else value
    if not isinstance(value, Mapping):
        return []
    if name.endswith("[x]"):
        stem = name[:-3]
        return [
            _Typed(key[len(stem) :], inner)
            for key, inner in value.items()
            if key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper()
        ]
    here, beside = value.get(name), value.get(f"_{name}")
    if here is None and beside is None:
        return []
    if isinstance(here, list):
        return list(here)
    if isinstance(beside, Mapping):
        return [{**beside, PRIMITIVE: here}]
    return [here]
