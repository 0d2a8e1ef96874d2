"""Whether an attribute meets what a search asks of it. Pure.

A name is found whatever the case of its letters, in any of its groups (alphabetic,
ideographic, phonetic). With `fuzzymatching` each word asked for must begin a word of the name.

Source: DICOM PS3.4 C.2.2.2 (matching), PS3.18 8.3.4.1 and 8.3.4.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.dicomweb.attributes import vr_of

Json = Any
Attributes = Mapping[str, Json]
RANGED = frozenset(("DA", "TM", "DT"))
NUMBERS = frozenset(("IS", "DS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"))
WORDS = re.compile(r"[\s^=,]+")
_DIGITS = {"DA": 8, "TM": 6, "DT": 14}


@dataclass(frozen=True, slots=True)
class Condition:
    """What one attribute must be."""

    tag: str
    value: str
    """As it was sent; empty: anything, also nothing."""
    meets: Callable[[list[Json]], bool]
    """Decides from the attribute's values."""

    def holds(self, attributes: Attributes) -> bool:
        """Tell whether attributes meet it."""
        return not self.value or self.meets(attributes.get(self.tag, {}).get("Value", []))

    @property
    def exact(self) -> str:
        """The single value it asks for literally; empty when it leaves a choice."""
        choice = re.search(r"[*?\\,]", self.value) or vr_of(self.tag) in RANGED
        return "" if choice else self.value.strip()

    @property
    def listed(self) -> list[str]:
        """The values it lists."""
        return [one for part in re.split(r"[\\,]", self.value) if (one := part.strip())]

    @property
    def days(self) -> tuple[int, int]:
        """First and last day of a range of dates; (0, 0) when it is none."""
        first, last = (end[:8] for end in _ends(self.value, 8))
        if not (first + last).isdigit() or not (first + last).isascii():
            return (0, 0)
        return int(first.ljust(8, "0")), int(last.ljust(8, "9"))


def condition(tag: str, value: str, *, fuzzy: bool) -> Condition:
    """Return the condition that an attribute has a value."""
    value, vr = value.strip(), vr_of(tag)
    return Condition(tag, value, _meets(vr, value, fuzzy=fuzzy))


def _meets(vr: str, value: str, *, fuzzy: bool) -> Callable[[list[Json]], bool]:
    if vr in RANGED:
        first, last = _ends(value, _DIGITS[vr])
        return lambda values: any(_between(str(v), first, last) for v in values)
    if vr == "UI":
        uids = {one for part in re.split(r"[\\,]", value) if (one := part.strip())}
        return lambda values: any(v in uids for v in values)
    if vr in NUMBERS:
        return lambda values: any(_same_number(v, value) for v in values)
    if vr == "PN":
        matches = _fuzzy(value) if fuzzy else _name(value)
        return lambda values: any(matches(v) for v in values if isinstance(v, Mapping))
    # Several codes may be listed: clients ask for studies with CT or MR so.
    parts = re.split(r"[\\,]", value) if vr == "CS" else value.split("\\")
    patterns = [_pattern(part.strip(), ignore_case=False) for part in parts]
    return lambda values: any(p.fullmatch(str(v)) for v in values for p in patterns)


def _ends(text: str, digits: int) -> tuple[str, str]:
    """Return the ends of a range, digits alone; an empty one is open."""
    plain = re.sub(r"[:.]", "", text)[: 2 * digits + 8]
    first, dash, last = plain.partition("-")
    return (first.strip(), last.strip()) if dash else (first.strip(), first.strip())


def _between(text: str, first: str, last: str) -> bool:
    plain = re.sub(r"[:.]", "", text).strip()
    low, high = plain[: len(first)], plain[: len(last)]
    return bool(plain) and (not first or low >= first) and (not last or high <= last)


def _same_number(value: Json, asked: str) -> bool:
    try:
        return float(value) == float(asked)
    except (TypeError, ValueError):
        return False


def _pattern(text: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Return a pattern of `*` and `?`.

    What stands between two stars is found at its first place and not looked for again (an atomic
    group), so that a pattern of many stars fails in the time of a walk over the value.
    """
    first, *rest = (
        "".join("." if char == "?" else re.escape(char) for char in part)
        for part in re.split(r"\*+", text)
    )
    between = "".join(f"(?>.*?{part})" for part in rest[:-1])
    made = first + between + (f".*{rest[-1]}" if rest else "")
    return re.compile(made, (re.IGNORECASE if ignore_case else 0) | re.DOTALL)


def _name(value: str) -> Callable[[Mapping[str, str]], bool]:
    patterns = [_pattern(_folded(part), ignore_case=True) for part in value.split("=") if part]

    def matches(name: Mapping[str, str]) -> bool:
        groups = [_folded(group) for group in name.values()]
        return all(any(p.fullmatch(group) for group in groups) for p in patterns)

    return matches


def _fuzzy(value: str) -> Callable[[Mapping[str, str]], bool]:
    asked = [w for word in WORDS.split(_folded(value)) if (w := word.strip("*?"))]

    def matches(name: Mapping[str, str]) -> bool:
        words = [word for group in name.values() for word in WORDS.split(_folded(group))]
        return all(any(word.startswith(one) for word in words) for one in asked)

    return matches


def _folded(text: str) -> str:
    """Return text without case and accents, and without empty components at its end."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c)).strip().rstrip("^")
