"""What is wrong in a resource, as far as a server can tell without a terminology. Pure.

Three layers: the JSON form (no null, nothing empty), the models of `fhir.resources.R4B`
(elements, cardinality, types), and what those do not check: codes of required bindings and
the types a reference may point to. A type that R4B dropped or changed is held to the form and
to what every resource has in common.

The official example Questionnaire/qs1 has display items without a `linkId`, which R4 asks
for; what R4 itself publishes is stored, so that one omission is no error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from services.gateway.fhir import narrative, schema
from services.gateway.fhir.schema import Model
from services.gateway.fhir.search.schema import element_names
from services.gateway.fhir.types import CHANGED, NOT_IN_R4B, TYPES
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

Json = Mapping[str, Any]
PROBLEMS_MAX = 100
"""Violations that are told; a resource with more is wrong enough."""
UNKNOWN = "unknown"
"""What a path says instead of a name that is none of R4's."""
_STEP = re.compile(r"_?([A-Za-z][A-Za-z0-9]{0,63})(?:\[\d+\])*(?:: [A-Z][A-Za-z]*(?:\[\d+\])*)?")
_TOLERATED = re.compile(r"Questionnaire(\.item\[\d+\])+\.linkId")
_LITERAL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]+)?")
_HOLDING = frozenset({"Bundle", "Parameters"})
"""Types that hold resources elsewhere than in `contained`."""
_COMMON = ("id", "meta", "implicitRules", "language", "text", "extension", "modifierExtension")


def problems(resource: Json) -> list[Violation]:
    """Return every violation found, each with its path, none with the value."""
    kind = str(resource.get("resourceType"))
    if kind not in TYPES and kind != "Parameters":
        return [Violation("resourceType", "not a resource type of FHIR R4")]
    found = [] if _well_formed(resource) else list(_form(resource, kind))
    if not found:
        found = [v for v in _modelled(kind, resource) if not _tolerated(v)]
    if not found and (model := schema.model_of(kind)):
        found = [v for v, is_target in _beyond(resource, model, kind, resource) if not is_target]
    found = found or list(narrative.problems(resource, kind))
    return [Violation(masked(v.path), v.problem) for v in found[:PROBLEMS_MAX]]


def masked(path: str) -> str:
    """Return a path without the names that R4 does not have: they may say who it is about."""
    return ".".join(
        step if (match := _STEP.fullmatch(step)) and match[1] in _names() else UNKNOWN
        for step in path.split(".")
    )


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return element_names() | TYPES | {"Parameters", "resourceType", "fhir_comments"}


def misdirected(resource: Json) -> list[Violation]:
    """Return references to types that R4 does not allow there, in a resource without problems.

    `$validate` calls them errors. A write only warns of them, because four of the official
    examples have one, and what R4 publishes must be storable.
    """
    kind = str(resource.get("resourceType"))
    model = schema.model_of(kind)
    found = _beyond(resource, model, kind, resource) if model else ()
    return [violation for violation, is_target in found if is_target][:PROBLEMS_MAX]


def require(resource: Json) -> None:
    """Let a resource pass that conforms to R4.

    Raises
    ------
    InvalidInput
        With every violation.
    """
    if found := problems(resource):
        raise InvalidInput("the resource does not conform to R4", found, reason="NOT_CONFORMANT")


def _tolerated(violation: Violation) -> bool:
    return violation.problem.endswith("missing") and bool(_TOLERATED.fullmatch(violation.path))


def _modelled(kind: str, resource: Json) -> list[Violation]:
    if kind in NOT_IN_R4B | CHANGED:
        return _common(kind, resource)
    found: list[Violation] = []
    plain = resource
    if kind in _HOLDING or "contained" in resource:
        plain = _without_foreign(resource, kind, found, inside=False)
    try:
        return found or fhir.problems(plain)
    except (KeyError, TypeError, AttributeError, RecursionError):
        # The models break on some shapes instead of naming what is wrong.
        return [Violation(kind, "cannot be read as R4")]


def _common(kind: str, resource: Json) -> list[Violation]:
    """Return what is wrong in what every resource has, of a type whose model is not known."""
    common = {name: resource[name] for name in _COMMON if name in resource}
    # Basic has what every resource has, and besides needs its code alone.
    found = fhir.problems({"resourceType": "Basic", "code": {"text": "-"}, **common})
    found = [Violation(v.path.replace("Basic", kind, 1), v.problem) for v in found]
    contained = resource.get("contained", [])
    for number, inner in enumerate(contained if isinstance(contained, list) else []):
        at = f"{kind}.contained[{number}]"
        if not isinstance(inner, Mapping) or "resourceType" not in inner:
            found.append(Violation(at, "must be a resource"))
            continue
        found += [Violation(f"{at}: {v.path}", v.problem) for v in problems(inner)]
    return found


def _without_foreign(node: Any, path: str, found: list[Violation], *, inside: bool) -> Any:
    """Return the same with a stand-in for each inner resource that R4B has no model of.

    What is wrong in those is added to `found`.
    """
    if isinstance(node, list):
        return [
            _without_foreign(item, f"{path}[{number}]", found, inside=True)
            for number, item in enumerate(node)
        ]
    if not isinstance(node, Mapping):
        return node
    kind = node.get("resourceType")
    if inside and kind is not None:
        if not isinstance(kind, str) or (kind not in TYPES and kind != "Parameters"):
            found.append(Violation(path, "not a resource type of FHIR R4"))
        elif kind in NOT_IN_R4B | CHANGED:
            found += [Violation(f"{path}: {v.path}", v.problem) for v in problems(node)]
        else:
            kind = None
        if kind is not None:
            identity = {name: node[name] for name in ("id", "meta") if name in node}
            return {"resourceType": "Basic", "code": {"text": "-"}, **identity}
    contained = node.get("contained")
    for number, item in enumerate(contained if isinstance(contained, list) else ()):
        if not isinstance(item, Mapping) or "resourceType" not in item:
            found.append(Violation(f"{path}.contained[{number}]", "must be a resource"))
    return {
        name: value
        if isinstance(value, str)
        else _without_foreign(value, f"{path}.{name[:64]}", found, inside=True)
        for name, value in node.items()
    }


def _well_formed(node: Any) -> bool:
    """Tell whether `_form` has nothing to say; it costs a quarter of that."""
    if type(node) is dict:
        return bool(node) and all(
            value is not None and _well_formed(value)
            for value in node.values()
            if type(value) is not str or not value
        )
    if type(node) is list:
        return bool(node) and all(
            type(value) is not list and _well_formed(value)
            for value in node
            if value is not None and (type(value) is not str or not value)
        )
    return bool(node != "")


def _form(node: Any, path: str) -> Iterator[Violation]:
    """Yield what breaks R4 json, 2.6.2: objects and arrays are never empty, null is rare."""
    if isinstance(node, dict):
        if not node:
            yield Violation(path, "an object may not be empty")
        for name, value in node.items():
            if value is None:
                yield Violation(f"{path}.{name[:64]}", "null is not allowed here")
            else:
                yield from _form(value, f"{path}.{name[:64]}")
    elif isinstance(node, list):
        if not node:
            yield Violation(path, "an array may not be empty")
        for number, value in enumerate(node):
            if isinstance(value, list):
                yield Violation(f"{path}[{number}]", "an array may not stand in an array")
            elif value is not None:  # null keeps the place of a primitive in R4 json, 2.6.2.3
                yield from _form(value, f"{path}[{number}]")
    elif node == "":
        yield Violation(path, "a string may not be empty")


def _beyond(node: Json, model: Model, path: str, root: Json) -> Iterator[tuple[Violation, bool]]:
    """Yield codes and reference targets that R4 does not allow, and whether it is a target."""
    known = schema.elements(model)
    for name, value in node.items():
        element = known.get(name)
        if element is None:
            continue
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            at = f"{path}.{name}[{number}]" if element.many else f"{path}.{name}"
            if element.codes and isinstance(item, str) and item not in element.codes:
                yield Violation(at, f"must be one of {', '.join(element.codes)}"), False
            if not isinstance(item, dict):
                continue
            if name in ("contained", "resource") and "resourceType" in item:
                inner = schema.model_of(str(item["resourceType"]))
                if inner:
                    owner = item if name == "resource" else root
                    yield from _beyond(item, inner, at, owner)
            elif element.model:
                if element.targets and (to := _target(item, root)) and to not in element.targets:
                    yield Violation(at, f"may point to {', '.join(element.targets)} alone"), True
                yield from _beyond(item, element.model, at, root)


def _target(reference: Json, root: Json) -> str:
    """Return the type a reference points to; empty when it does not say."""
    literal = reference.get("reference")
    if isinstance(literal, str):
        if literal.startswith("#"):
            for inner in root.get("contained", []):
                if isinstance(inner, Mapping) and inner.get("id") == literal[1:]:
                    return str(inner.get("resourceType", ""))
            return ""
        if (match := _LITERAL.fullmatch(literal)) and match[1] in TYPES:
            return match[1]
    said = reference.get("type")
    return said if isinstance(said, str) and said in TYPES else ""
