"""The parameters of a QIDO-RS search. Pure.

What is not served is an error: a condition that is passed over would find too much.

Source: DICOM PS3.18 8.3.4 (query parameters), 10.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from services.gateway.dicomweb import attributes
from services.gateway.dicomweb.attributes import SERIES, STUDY
from services.gateway.dicomweb.matching import Condition, condition
from services.kernel.errors import InvalidInput, Violation

LIMIT_DEFAULT, LIMIT_MAX = 100, 1000
CONDITIONS_MAX, VALUE_CHARS_MAX = 32, 4096
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PASSED = frozenset({"accept", "charset"})
EMPTY_FUZZY = ("", "false", "true")


@dataclass(frozen=True, slots=True)
class Query:
    """A search."""

    conditions: tuple[Condition, ...]
    include: frozenset[str]
    """Tags to say besides those of every answer."""
    everything: bool
    """`includefield=all`."""
    limit: int
    offset: int

    def of(self, level: str) -> tuple[Condition, ...]:
        """Return the conditions on attributes of a level."""
        return tuple(c for c in self.conditions if attributes.level_of(c.tag) == level)

    def one(self, keyword: str) -> Condition | None:
        """Return the condition on an attribute, or None."""
        tag = f"{tag_for_keyword(keyword) or 0:08X}"
        return next((c for c in self.conditions if c.tag == tag), None)

    def says(self, level: str, tag: str) -> bool:
        """Tell whether an answer says an attribute of a level."""
        asked = tag in self.include or any(c.tag == tag for c in self.conditions)
        return self.everything or asked or tag in attributes.DEFAULTS[level]


def parse(pairs: Iterable[tuple[str, str]], level: str) -> Query:
    """Return the search that parameters ask for.

    Raises
    ------
    InvalidInput
        One that is not served, or not written as it must be.
    """
    found: dict[str, str] = {}
    include: set[str] = set()
    control: dict[str, str] = {}
    wrong: list[Violation] = []
    for name, value in pairs:
        lowered = name.lower()
        if lowered == "includefield":
            include |= {part.strip() for part in value.split(",") if part.strip()}
        elif lowered in ("limit", "offset", "fuzzymatching"):
            control[lowered] = value.strip()
        elif lowered not in _PASSED:
            wrong += _take(found, name, value, level)
    numbers = {name: _number(control.get(name, ""), name, wrong) for name in ("limit", "offset")}
    fuzzy = control.get("fuzzymatching", "").lower()
    if fuzzy not in EMPTY_FUZZY:
        wrong.append(Violation("fuzzymatching", "is true or false"))
    if len(found) > CONDITIONS_MAX:
        wrong.append(Violation("query", f"more than {CONDITIONS_MAX} attributes"))
    if wrong:
        raise InvalidInput("the search cannot be made", wrong, reason="BAD_REQUEST")
    asked = numbers["limit"]
    return Query(
        tuple(condition(tag, value, fuzzy=fuzzy == "true") for tag, value in found.items()),
        frozenset(tag for name in include - {"all"} if (tag := tag_of(name))),
        "all" in include,
        LIMIT_DEFAULT if asked is None else min(asked, LIMIT_MAX),
        numbers["offset"] or 0,
    )


def tag_of(name: str) -> str:
    """Return the tag of an attribute named by tag or keyword; empty when there is none."""
    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name) if name.isascii() and len(name) <= 64 else None
    return f"{tag:08X}" if tag else ""


def _take(found: dict[str, str], name: str, value: str, level: str) -> list[Violation]:
    tag = tag_of(name)
    where = name[:64]
    known = attributes.level_of(tag) if tag else ""
    if not tag:
        return [Violation(where, "is no attribute")]
    # Studies are found by what their series are, as ModalitiesInStudy says; not by instances.
    above = {STUDY: (STUDY,), SERIES: (STUDY, SERIES)}.get(level, ("study", "series", "instance"))
    if known not in above:
        return [Violation(where, "cannot be searched by here")]
    if tag in found:
        return [Violation(where, "is given twice")]
    if len(value) > VALUE_CHARS_MAX or "\0" in value:
        return [Violation(where, "is too long")]
    found[tag] = value
    return []


def _number(text: str, name: str, wrong: list[Violation]) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        wrong.append(Violation(name, "is a whole number, 0 or more"))
        return None
    return int(text)
