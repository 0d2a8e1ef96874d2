"""The name of a search parameter: modifiers, chains and `_has`. Pure.

Source: FHIR R4, search.html 3.1.1.4.3 (modifiers), 3.1.1.4.9 (chained parameters, _has).
"""

from __future__ import annotations

from services.gateway.fhir.search.criteria import Chain, Condition, Criterion, Has
from services.gateway.fhir.search.definitions import REFUSED, TYPES, Definition, parameters
from services.gateway.fhir.search.wanted import Setting, Unusable, split, wanted

DEPTH_MAX = 2
"""References that one parameter may follow."""
VALUES_MAX = 100
"""Values that one parameter may list with commas."""

MODIFIERS = {
    "string": ("exact", "contains"),
    "token": ("not", "text", "of-type", "in", "not-in"),
    "reference": ("identifier",),
    "uri": ("above", "below"),
}
"""Modifiers that are served, by type; `:missing` is served on every type but composite."""

NEEDS_TERMINOLOGY = frozenset({"above", "below"})


class UnknownParameter(ValueError):
    """There is no such search parameter; the text says what there is."""


def condition(kind: str, name: str, value: str, setting: Setting, depth: int = 0) -> Condition:
    """Return the condition that a parameter of a resource type means.

    Raises
    ------
    UnknownParameter
    Unusable
    """
    if name.startswith("_has:"):
        return _has(name, value, setting, depth)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    definition = _known(kind, code)
    if dot:
        return _chain(definition, modifier, rest, value, setting, depth)
    return _criterion(definition, modifier, value, setting)


def _known(kind: str, code: str) -> Definition:
    definition = parameters(kind).get(code)
    if definition is not None:
        return definition
    if code in REFUSED:
        raise UnknownParameter(REFUSED[code])
    served = ", ".join(parameters(kind))
    raise UnknownParameter(f"not served here; {kind} is searched by: {served}")


def _deeper(depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise Unusable(f"follows more than {DEPTH_MAX} references")
    return depth + 1


def _chain(
    definition: Definition, modifier: str, rest: str, value: str, setting: Setting, depth: int
) -> Chain:
    if definition.kind != "reference":
        raise Unusable("is no reference, so nothing can follow the dot")
    if modifier and definition.targets and modifier not in definition.targets:
        raise Unusable(f"refers to {', '.join(definition.targets)}")
    if modifier and modifier not in TYPES:
        raise Unusable("names no resource type before the dot")
    depth = _deeper(depth)
    links: list[tuple[str, Condition]] = []
    problem: UnknownParameter | None = None
    for target in (modifier,) if modifier else definition.targets:
        try:
            links.append((target, condition(target, rest, value, setting, depth)))
        except UnknownParameter as error:
            problem = problem or error
    if not links:
        raise problem or UnknownParameter("refers to no type; write one, as subject:Patient.name")
    return Chain(definition, tuple(links))


def _has(name: str, value: str, setting: Setting, depth: int) -> Has:
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in TYPES:
        raise Unusable("must be _has:Type:reference:parameter")
    _, kind, code, rest = parts
    definition = _known(kind, code)
    if definition.kind != "reference":
        raise Unusable(f"{kind} has no reference {code[:64]}")
    return Has(kind, definition, condition(kind, rest, value, setting, _deeper(depth)))


def _criterion(definition: Definition, modifier: str, value: str, setting: Setting) -> Criterion:
    if modifier == "missing" and definition.kind != "composite":
        if value not in ("true", "false"):
            raise Unusable("must be true or false")
        return Criterion(definition, "missing", missing=value == "true")
    _served(definition, modifier)
    parts = split(value, ",")
    if len(parts) > VALUES_MAX:
        raise Unusable(f"lists more than {VALUES_MAX} values")
    found = tuple(dict.fromkeys(wanted(definition, modifier, one, setting) for one in parts))
    kept = "" if modifier in definition.targets or modifier in TYPES else modifier
    return Criterion(definition, kept, found)


def _served(definition: Definition, modifier: str) -> None:
    """Refuse a modifier that does not fit, as R4 demands even of lenient servers."""
    kind = definition.kind
    if not modifier or modifier in MODIFIERS.get(kind, ()):
        return
    if kind == "reference" and modifier in TYPES:
        if definition.targets and modifier not in definition.targets:
            raise Unusable(f"refers to {', '.join(definition.targets)}")
        return
    if kind in ("token", "reference") and modifier in NEEDS_TERMINOLOGY:
        raise Unusable(
            f":{modifier} needs a hierarchy of codes or resources, which is not known here; "
            "list the values with commas"
        )
    served = [f":{one}" for one in MODIFIERS.get(kind, ())]
    if kind == "reference":
        served += [f":{one}" for one in definition.targets]
    if kind != "composite":
        served.append(":missing")
    raise Unusable(f"takes no such modifier; served: {', '.join(served) or 'none'}")
