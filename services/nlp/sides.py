"""Which side a note gives a problem: left, right or both; only what stands in the same clause.

A side before the name counts within its item ("左下肢水肿", "right leg swelling", "L calf pain"),
one behind it where a preposition leads there ("pain in the left knee"). Where the words allow
another reading ("left the hospital", "20分钟左右", 左氧氟沙星, "4 L of oxygen") there is none.
Details, summary and contradictions all ask here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from services.nlp.terms import Term

BEFORE_CHARS, BEHIND_CHARS = 24, 48
OWN_CHARS = 12
"""A side that begins within a span may end so many characters behind it."""
_EDGE_ZH = re.compile(r"[，,。；;：:、\n（）()]|伴|并|(?<![闻触扪可累波涉])及|与|和")
_EDGE_EN = re.compile(r"[,.;:\n()]|\b(?:and|with|but|without)\b", re.I)
_ZH = re.compile(
    r"(?P<both>双侧|两侧|双(?=[肺眼耳肾手足膝髋踝肩腕肘上下])|左右两?侧)"
    r"|(?P<left>(?<![偏不])左(?![右氧旋卡乙甲])[侧边]?)|(?P<right>(?<!左)右(?![美旋佐雷])[侧边]?)"
)
_SHORT = (
    r"(?=[ ](?:sided\b|(?!wave|on\b|lead)[a-z]{3,}|[A-Z]{2,4}\b|M[12]\b)"
    r"|(?<=\bon [LR])[ ]*(?:[.,;)]|$))"
)
"""What follows L or R that stands for a side."""
_EN = re.compile(
    r"\b(?:(?P<both>bilateral(?:ly)?|both(?: sides)?|bilat\b|b/l)"
    rf"|(?P<left>left(?:[- ]sided)?|(?-i:(?<![0-9][ ])(?<![0-9.])L{_SHORT}|L[LU]E|L[LU]L))"
    rf"|(?P<right>right(?:[- ]sided)?|(?-i:(?<![0-9][ ])(?<![0-9.])R{_SHORT}|R[LU]E|R[LUM]L)))\b"
    r"(?!-hand|[ ](?:now|away|after|before|when|the|home|work|school|against|ama|at|on|to|for|"
    r"without|hand(?:ed)?[ ]dominant|him|her|it)\b)",
    re.I,
)
_NO_SIDE_EN = re.compile(r"\b(?:all|was|were|is|been|has|have|had|he|she|they|who|i)[ ]$", re.I)
_LEADS = re.compile(r"^[ ](?:in|of|on|over|at|to)\b", re.I)


_BOTH = ((_EDGE_ZH, _ZH), (_EDGE_EN, _EN))
"""What ends a clause and what names a side; of ASCII the first pair finds nothing."""


_SIGNS = ("left", "right", "both", "bilat", "b/l")


def _may_name(text: str) -> bool:
    """Tell whether a text may name a side: most sentences do not, and the patterns are long."""
    if "L" in text or "R" in text:
        return True
    if not text.isascii() and any(sign in text for sign in "左右双两"):
        return True
    small = text.lower()
    return any(sign in small for sign in _SIGNS)


class Side(Enum):
    """A side of the body."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Sided:
    """A side, and where the text says it: text[start:end]."""

    side: Side
    start: int
    end: int


def find(text: str, start: int, end: int) -> Sided | None:
    """Return the side of the mention text[start:end]; None where the note gives none."""
    if not _may_name(text[max(0, start - BEFORE_CHARS) : end + BEHIND_CHARS + OWN_CHARS]):
        return None
    own = _in(text, start, end)
    if own:
        return own
    first = max(0, start - BEFORE_CHARS)
    for edge, side in _BOTH[text.isascii() :]:
        edges = [each.end() for each in edge.finditer(text, first, start)]
        found = list(_sides(side, text, edges[-1] if edges else first, start))
        if found:
            return _one(found)
    if not _LEADS.match(text[end : end + BEHIND_CHARS]):
        return None
    last = _EDGE_EN.search(text, end, end + BEHIND_CHARS)
    found = list(
        _sides(_EN, text, end, last.start() if last else min(len(text), end + BEHIND_CHARS))
    )
    return _one(found[:1])


def of_term(text: str, start: int, end: int, term: Term | None) -> Sided | None:
    """Return the side of the problem text[start:end]; None where its own name holds one.

    The side is part of such a name (左肩臂放射痛, "bilateral hilar lymphadenopathy").
    """
    if term and (set("左右双") & set(term.zh) or "bilateral" in term.en.lower()):
        return None
    return find(text, start, end)


def _in(text: str, start: int, end: int) -> Sided | None:
    # 右下肢较左侧粗 is of the right one.
    compared = max(text.find("较", start, end), text.find("比", start, end))
    end = compared if compared > start else end
    for _, side in _BOTH[text.isascii() :]:
        if found := list(_sides(side, text, start, end)):
            return _one(found)
    return None


def _sides(side: re.Pattern[str], text: str, start: int, end: int) -> list[Sided]:
    return [
        Sided(Side(str(each.lastgroup)), each.start(), min(each.end(), end))
        for each in side.finditer(text, start, min(end + OWN_CHARS, len(text)))
        if each.end() - (text[each.end() - 1] in "侧边") <= end  # 左|侧腹痛
        and not _NO_SIDE_EN.search(text, max(0, each.start() - 6), each.start())
    ]


def _one(found: list[Sided]) -> Sided | None:
    """Return the side nearest to the name; of "left and right" both."""
    if not found:
        return None
    sides = {each.side for each in found[-2:]}
    if sides == {Side.LEFT, Side.RIGHT} and found[-1].start - found[-2].end <= 5:
        return Sided(Side.BOTH, found[-2].start, found[-1].end)
    return found[-1]
