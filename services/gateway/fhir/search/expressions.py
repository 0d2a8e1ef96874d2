"""The FHIRPath of search parameters, compiled to paths that are quick to follow. Pure.

The official expressions use a small part of FHIRPath: unions, children, `as`, `ofType`,
`where` with one comparison, `extension`, an index, and once `exists() and`. Any other
expression is refused when it is compiled, never when a resource is read.

Source: FHIR R4, search.html 3.1.1.2; FHIRPath 2.0 (N1), 4 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.fhir.search.schema import Element, elements

Node = tuple[Any, str, str]
"""A value of a resource, its type, and the code system its binding implies (or "")."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step to a child: the JSON names it may have, each with the child's type."""

    keys: tuple[tuple[str, str, str], ...]
    """(name in JSON, type, implied code system)."""
    test: Callable[[Any, Mapping[str, Any]], bool] | None = None
    """What a child must fulfil, given it and the whole resource."""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from a resource, or from an element of it, to values."""

    steps: tuple[Step, ...]
    kind: str
    """Type of what a path of no steps leads to."""
    from_root: bool = False
    """Whether it starts at the resource although it was given an element of it."""
    truth: tuple[str, ...] = ()
    """Names whose presence, and not being false, is the value itself."""


class NotSupported(ValueError):
    """An expression uses FHIRPath that no official search parameter of R4 uses."""


def compile_expression(expression: str, base: str) -> tuple[Path, ...]:
    """Return the paths of an expression that lead from `base`, a type or backbone path."""
    found = []
    for part in _split(expression, "|"):
        part = part.strip()
        while part.startswith("(") and _closing(part, 0) == len(part) - 1:
            part = part[1:-1].strip()
        path = _path(part, base)
        if path is not None:
            found.append(path)
    return tuple(found)


def follow(path: Path, node: Any, root: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the values a path leads to, from an element of the resource `root`."""
    if path.truth:
        found = [node[name] for name in path.truth if name in node]
        yield bool(found) and found[0] is not False, "boolean", ""
        return
    yield from _follow(path.steps, 0, root if path.from_root else node, path.kind, "", root)


def _follow(
    steps: tuple[Step, ...], at: int, node: Any, kind: str, system: str, root: Mapping[str, Any]
) -> Iterator[Node]:
    if at == len(steps):
        yield node, kind, system
        return
    if not isinstance(node, dict):
        return
    step = steps[at]
    for name, child_kind, child_system in step.keys:
        child = node.get(name)
        if child is None:
            continue
        if not isinstance(child, list):
            if step.test is None or step.test(child, root):
                yield from _follow(steps, at + 1, child, child_kind, child_system, root)
            continue
        for item in child[:1] if step.first else child:
            if item is not None and (step.test is None or step.test(item, root)):
                yield from _follow(steps, at + 1, item, child_kind, child_system, root)


_TYPE = re.compile(r"[A-Z]\w*(?=\.|$)")
_EXISTS = re.compile(r"(\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")
_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_IS = re.compile(r"resolve\(\) is (\w+)")
_EQUALS = re.compile(r"(\w+) ?= ?'([^']*)'")
_HAS_EXTENSION = re.compile(r"hasExtension\('([^']*)'\)")


def _path(text: str, base: str) -> Path | None:
    """Return one path, or None when it begins with another type than `base`."""
    if truth := _EXISTS.fullmatch(text):
        kind, name = truth.groups()
        choice = elements(kind)[name]
        names = tuple(choice.key(one) for one in choice.types)
        return Path((), "boolean", truth=names) if kind == base else None
    parts = _split(_as_calls(text), ".")
    from_root = parts[0] == "%resource"
    kind = base.partition(".")[0] if from_root else base
    if from_root:
        parts = parts[1:]
    elif _TYPE.fullmatch(parts[0]):
        if parts[0] not in (base, "Resource", "DomainResource"):
            return None
        parts = parts[1:]
    steps: list[Step] = []
    for part in parts:
        _take(steps, part, kind)
        if steps:
            kind = steps[-1].keys[0][1]
    return Path(tuple(steps), base, from_root)


def _take(steps: list[Step], part: str, kind: str) -> None:
    """Add what one part of a path says to the steps before it."""
    call = _CALL.fullmatch(part)
    name, _, index = part.partition("[")
    if not call:
        steps.append(_child(kind, name, first=index == "0]"))
        return
    name, argument = call.groups()
    if name in ("as", "ofType"):
        steps[-1] = _cast(steps[-1], argument)
    elif name == "extension":
        steps.append(Step((("extension", "Extension", ""),), _where("url", argument.strip("'"))))
        steps.append(_child("Extension", "value", first=False))
    elif name == "where":
        last = steps[-1]
        steps[-1] = Step(last.keys, _test(argument), last.first)
    else:
        raise NotSupported(part)


def _child(kind: str, name: str, *, first: bool) -> Step:
    found = elements(kind).get(name)
    if found is None:
        raise NotSupported(f"{kind} has no element {name}")
    return Step(tuple(_keys(found)), None, first)


def _keys(element: Element) -> Iterator[tuple[str, str, str]]:
    for kind in element.types:
        yield element.key(kind), kind, element.system


def _cast(step: Step, kind: str) -> Step:
    keys = tuple(key for key in step.keys if key[1].lower() == kind.strip().lower())
    if not keys:
        raise NotSupported(f"as {kind}")
    return Step(keys, step.test, step.first)


def _test(argument: str) -> Callable[[Any, Mapping[str, Any]], bool]:
    if found := _IS.fullmatch(argument):
        wanted = found[1]
        return lambda node, root: target_type(node, root) == wanted
    if found := _EQUALS.fullmatch(argument):
        return _where(found[1], found[2])
    if found := _HAS_EXTENSION.fullmatch(argument):
        url = found[1]
        return lambda node, _root: any(
            isinstance(one, dict) and one.get("url") == url for one in node.get("extension", ())
        )
    raise NotSupported(argument)


def _where(name: str, value: str) -> Callable[[Any, Mapping[str, Any]], bool]:
    return lambda node, _root: isinstance(node, dict) and node.get(name) == value


_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]+)?")


def target_type(reference: Any, root: Mapping[str, Any]) -> str:
    """Return the type a Reference points to, as far as it says so itself."""
    if not isinstance(reference, dict):
        return ""
    text = reference.get("reference")
    if isinstance(text, str):
        if text.startswith("#"):
            for contained in root.get("contained", ()):
                if isinstance(contained, dict) and contained.get("id") == text[1:]:
                    return str(contained.get("resourceType", ""))
        elif found := _REFERENCE.fullmatch(text):
            return found[1]
    kind = reference.get("type")
    return kind.rpartition("/")[2] if isinstance(kind, str) else ""


_AS = re.compile(r"\(?([\w.]+) as (\w+)\)?")


def _as_calls(text: str) -> str:
    """Return an expression with `x as T` written as `x.as(T)`."""
    return _AS.sub(r"\1.as(\2)", text) if " as " in text else text


def _split(text: str, mark: str) -> list[str]:
    """Return the parts between marks that stand outside brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()[]":
            depth += 1 if character in "([" else -1
        elif character == mark and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _closing(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place
    return -1
