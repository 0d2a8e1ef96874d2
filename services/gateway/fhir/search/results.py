"""The parameters that say how a result is shown: _sort, _count, _include and the like. Pure.

Source: FHIR R4, search.html 3.1.1.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.fhir.search.criteria import Include, Sort
from services.gateway.fhir.search.definitions import TYPES, parameters
from services.gateway.fhir.search.schema import elements
from services.gateway.fhir.search.wanted import Unusable

COUNT_DEFAULT, COUNT_MAX = 20, 200
SORTS_MAX = 4
INCLUDES_MAX = 16
ELEMENTS_MAX = 64
PASSED_OVER = frozenset({"_format", "_pretty"})
"""Read elsewhere."""
_ALL = "*"


@dataclass(slots=True)
class Shown:
    """What was read so far."""

    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    sort: list[Sort] = field(default_factory=list)
    count: int = COUNT_DEFAULT
    total: str = ""
    summary: str = ""
    elements: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def is_result_parameter(name: str) -> bool:
    """Tell whether a parameter says how a result is shown."""
    return name.partition(":")[0] in _READERS or name in PASSED_OVER


def read(shown: Shown, kind: str, name: str, value: str) -> bool:
    """Take a parameter that says how a result is shown; False when it is no such one.

    Raises
    ------
    Unusable
    """
    code, _, modifier = name.partition(":")
    if code in PASSED_OVER:
        return True
    reader = _READERS.get(code)
    if reader is None:
        return False
    repeatable = code in ("_include", "_revinclude")
    if modifier not in (("", "iterate", "recurse") if repeatable else ("",)):
        raise Unusable("takes no such modifier")
    if not repeatable and code in shown.seen:
        raise Unusable("is given twice")
    shown.seen.add(code)
    reader(shown, kind, value, bool(modifier))
    return True


def _count(shown: Shown, _kind: str, value: str, _iterate: bool) -> None:
    if not value.isascii() or not value.isdigit() or len(value) > 12:
        raise Unusable("a whole number, 0 or more")
    shown.count = min(int(value), COUNT_MAX)


def _total(shown: Shown, _kind: str, value: str, _iterate: bool) -> None:
    shown.total = _one_of(value, ("none", "estimate", "accurate"))


def _summary(shown: Shown, _kind: str, value: str, _iterate: bool) -> None:
    found = _one_of(value, ("true", "false", "text", "data", "count"))
    shown.summary = "" if found == "false" else found


def _contained(_shown: Shown, _kind: str, value: str, _iterate: bool) -> None:
    if value != "false":
        raise Unusable("contained resources are not searched; only false is served")


def _one_of(value: str, served: tuple[str, ...]) -> str:
    if value not in served:
        raise Unusable(f"must be one of: {', '.join(served)}")
    return value


def _sort(shown: Shown, kind: str, value: str, _iterate: bool) -> None:
    for text in value.split(","):
        descending, code = text.startswith("-"), text.lstrip("-")
        definition = parameters(kind).get(code)
        if definition is None or definition.kind in ("composite", "reference"):
            raise Unusable(f"{kind} can be sorted by its date, number, quantity, string, token "
                           "and uri parameters, each with - before it for descending")  # fmt: skip
        shown.sort.append(Sort(definition, descending))
    if len(shown.sort) > SORTS_MAX:
        raise Unusable(f"sorts by more than {SORTS_MAX} keys")


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")


def _elements(shown: Shown, kind: str, value: str, _iterate: bool) -> None:
    names = value.split(",")
    if len(names) > ELEMENTS_MAX:
        raise Unusable(f"names more than {ELEMENTS_MAX} elements")
    for name in names:
        plain = name.removeprefix(f"{kind}.")
        if plain == "resourceType":  # there in any case, as the id is; fhirpy names it
            plain = "id"
        if not _NAME.fullmatch(plain) or plain not in elements(kind):
            raise Unusable(f"names what is no element of {kind}")
        shown.elements.append(plain)


def _include(shown: Shown, _kind: str, value: str, iterate: bool) -> None:
    if value == _ALL:
        shown.includes.append(Include(_ALL, None, iterate=iterate))
    else:
        shown.includes.append(_reference(value, iterate))
    _limit(shown)


def _revinclude(shown: Shown, _kind: str, value: str, iterate: bool) -> None:
    if value == _ALL:
        raise Unusable("name the type, as _revinclude=Observation:*")
    shown.revincludes.append(_reference(value, iterate))
    _limit(shown)


def _limit(shown: Shown) -> None:
    if len(shown.includes) + len(shown.revincludes) > INCLUDES_MAX:
        raise Unusable(f"at most {INCLUDES_MAX} of _include and _revinclude")


def _reference(value: str, iterate: bool) -> Include:
    kind, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if kind not in TYPES or (target and target not in TYPES):
        raise Unusable("must be Type:parameter, Type:parameter:TargetType or Type:*")
    if code == _ALL:
        return Include(kind, None, target, iterate)
    definition = parameters(kind).get(code)
    if definition is None or definition.kind != "reference":
        served = [d.code for d in parameters(kind).values() if d.kind == "reference"]
        raise Unusable(f"{kind} has these references: {', '.join(served)}")
    if target and definition.targets and target not in definition.targets:
        raise Unusable(f"{kind}:{code} refers to {', '.join(definition.targets)}")
    return Include(kind, definition, target, iterate)


_READERS: dict[str, Callable[[Shown, str, str, bool], None]] = {
    "_count": _count,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_sort": _sort,
    "_include": _include,
    "_revinclude": _revinclude,
    "_contained": _contained,
}
