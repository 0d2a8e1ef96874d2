"""The value of a search parameter, read by the parameter's type. Pure.

Source: FHIR R4, search.html 3.1.1.4.3 (modifiers), 3.1.1.4.4 (prefixes), 3.1.1.4.5 to
3.1.1.4.16 (types), 3.1.1.4.17 (escaping).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from services.gateway.fhir.search import ranges
from services.gateway.fhir.search.criteria import (
    Amount,
    Code,
    Parts,
    Span,
    Target,
    Text,
    Typed,
    Uri,
    Wanted,
)
from services.gateway.fhir.search.definitions import Definition
from services.gateway.fhir.search.ranges import Bounds, Range
from services.gateway.fhir.search.strings import normal
from services.gateway.fhir.search.values import pointer

NUMBER_MAX = Decimal("1e300")
TOKEN_MAX = 256
"""Characters of a token's code."""
KINDS_MAX = 16
"""Types a bare id is looked for at this server's own address; a parameter with more takes any."""


class Unusable(ValueError):
    """A value is not of the form its parameter needs; the text says which that is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the meaning of a value depends on besides itself."""

    base_url: str = ""
    """Address of this FHIR server, without a slash at the end; empty: not known."""
    now_us: int | None = None
    """The time, for `ap` of a date."""


def split(text: str, mark: str) -> list[str]:
    """Return the parts between marks that no backslash stands before."""
    parts, start, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == mark:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    """Return a value without the backslashes of \\, \\$ \\| and \\\\."""
    if "\\" not in text:
        return text
    kept, place = [], 0
    while place < len(text):
        if text[place] == "\\" and text[place + 1 : place + 2] in ("\\", ",", "$", "|"):
            place += 1
        kept.append(text[place])
        place += 1
    return "".join(kept)


def wanted(definition: Definition, modifier: str, text: str, setting: Setting) -> Wanted:
    """Return what one value, still escaped, asks for.

    Raises
    ------
    Unusable
    """
    if not text:
        raise Unusable("is empty")
    if modifier == "text":
        return _text(text)
    if modifier in ("in", "not-in"):
        return Uri(unescaped(text))
    if modifier == "of-type":
        parts = [unescaped(part) for part in split(text, "|")]
        if len(parts) != 3 or not all(parts):
            raise Unusable("must be system|code|value")
        return Typed(*parts)
    if modifier == "identifier":
        return _code(text)
    if definition.kind == "composite":
        return _composite(definition, text, setting)
    if definition.kind == "reference":
        return _target(definition, modifier, text, setting)
    return _READERS[definition.kind](text, setting)


def _text(text: str, _setting: Setting | None = None) -> Text:
    written = unescaped(text)
    found = normal(written)
    if not found:
        raise Unusable("holds white space alone")
    return Text(written, found)


def _code(text: str, _setting: Setting | None = None) -> Code:
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) > 2:
        raise Unusable("must be code, system|code, |code or system|")
    if len(parts[-1]) > TOKEN_MAX:
        raise Unusable(f"must have a code of at most {TOKEN_MAX} characters")
    if len(parts) == 1:
        return Code(None, parts[0])
    if not any(parts):
        raise Unusable("names neither a system nor a code")
    return Code(*parts)


def _target(definition: Definition, modifier: str, text: str, setting: Setting) -> Target:
    address, _, version = (part for part in unescaped(text).partition("|"))
    if version:
        return Target((address,), version=version)
    own = f"{setting.base_url}/" if setting.base_url else ""
    if own and address.startswith(own):
        address = address[len(own) :]
    if "/" not in address and ":" not in address:
        kinds = (modifier,) if modifier else definition.targets
        if len(kinds) > 1 or not kinds:
            local = kinds if own and len(kinds) <= KINDS_MAX else ()
            return Target((address, *(f"{own}{kind}/{address}" for kind in local)), id=address)
        address = f"{kinds[0]}/{address}"
    found = pointer(address)
    if modifier and found.kind not in ("", modifier):
        raise Unusable(f"is no reference to {modifier}")
    urls = (found.url, f"{own}{found.url}") if found.local and own else (found.url,)
    return Target(urls, version=found.version)


def _uri(text: str, _setting: Setting) -> Uri:
    return Uri(unescaped(text))


def prefixed(text: str) -> tuple[str, str]:
    """Return the prefix of a value, eq when it has none, and the rest."""
    return (text[:2], text[2:]) if text[:2] in ranges.PREFIXES else ("eq", text)


def _date(text: str, setting: Setting) -> Span:
    prefix, rest = prefixed(unescaped(text).replace(" ", "+"))
    sought = ranges.date_range(rest)
    if sought is None:
        raise Unusable("must be a date as 2013, 2013-01, 2013-01-14 or 2013-01-14T10:00:00Z")
    near = sought
    if prefix == "ap" and setting.now_us is not None:
        tenth = max(abs(setting.now_us - sought.low), abs(setting.now_us - sought.high)) // 10
        near = Range(sought.low - tenth, sought.high + tenth)
    return Span(ranges.compare(prefix, sought, near))


def _number(text: str, _setting: Setting) -> Span:
    return Span(_bounds(unescaped(text)))


def _bounds(text: str) -> tuple[Bounds, ...]:
    prefix, rest = prefixed(text)
    value = ranges.number_of(rest.strip())
    if value is None or abs(value) > NUMBER_MAX:
        raise Unusable("must be a number, as 5.4 or lt100 or 1e2")
    exact = ranges.ordered(value)
    tenth = abs(value) / 10
    near = Range(ranges.ordered(value - tenth), ranges.ordered(value + tenth))
    implied = prefix in ("eq", "ne")
    sought = ranges.implied_range(rest.strip(), value) if implied else Range(exact, exact)
    return ranges.compare(prefix, sought, near)


def _amount(text: str, _setting: Setting) -> Amount:
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) not in (1, 3):
        raise Unusable("must be a number, number|system|code or number||code")
    bounds = _bounds(parts[0])
    if len(parts) == 1 or not any(parts[1:]):
        return Amount(bounds, None, "")
    if not parts[2]:
        raise Unusable("has a system but no code for the unit")
    return Amount(bounds, parts[1] or None, parts[2])


def _composite(definition: Definition, text: str, setting: Setting) -> Parts:
    parts = split(text, "$")
    if len(parts) != len(definition.components):
        names = "$".join(part.definition.code for part in definition.components)
        raise Unusable(f"must be {names}")
    return Parts(
        tuple(
            wanted(component.definition, "", part, setting)
            for component, part in zip(definition.components, parts, strict=True)
        )
    )


_READERS: dict[str, Callable[[str, Setting], Wanted]] = {
    "string": _text,
    "token": _code,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _amount,
}
