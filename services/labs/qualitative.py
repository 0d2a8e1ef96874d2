"""Ordinal results: whether something is there, as laboratories write it.

`阴性`, `(-)`, `negative`, `non-reactive`, `弱阳性`, `±`, `2+`, `++`, `1+ (trace)`. What is not one
of the known spellings stays unread: a doubtful answer must not become a clear one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from services.labs import tables


class Answer(Enum):
    """What an ordinal test says."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    BORDERLINE = "borderline"
    """Trace, ±, grey zone: neither."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer and, where the text has one, its grade from 1+ to 4+."""

    answer: Answer
    grade: int = 0


@dataclass(frozen=True, slots=True)
class Test:
    """One ordinal test."""

    analyte_id: str
    name_en: str
    name_zh: str
    expected_negative: bool


TESTS: Mapping[str, Test] = MappingProxyType(
    {
        row["loinc"]: Test(
            row["analyte"], row["name_en"], row["name_zh"], row["expected"] == "negative"
        )
        for row in tables.rows("qualitative")
    }
)
"""By LOINC code."""

BY_ID: Mapping[str, Test] = MappingProxyType({test.analyte_id: test for test in TESTS.values()})
"""By analyte id."""

TEXT_MAX = 60
"""Longest text that is read: a sentence may say more than its first words."""
_GRADED = re.compile(r"([1-4])\+|\+([1-4])")
_PLUSES = re.compile(r"\+{1,4}")
_BRACKETS = re.compile(r"[()\[\]{}\"'.:;,\s_]")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")
_BY_WORD: Mapping[str, Answer] = MappingProxyType(
    {row["written"]: Answer(row["answer"]) for row in tables.rows("answers")}
)
"""By spelling without white space and punctuation."""


def read(text: str) -> Reading | None:
    """Return what the text of an ordinal result says; None when that is not certain."""
    if not text or len(text) > TEXT_MAX:
        return None
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = plain.replace("−", "-").replace("–", "-").replace("—", "-").replace("加", "+")
    plain = _BRACKETS.sub("", plain)
    if found := _GRADED.fullmatch(plain):
        return Reading(Answer.POSITIVE, int(found[1] or found[2]))
    if _PLUSES.fullmatch(plain):
        return Reading(Answer.POSITIVE, len(plain))
    answer = _BY_WORD.get(plain) or _BY_WORD.get(_HYPHEN.sub("", plain)) or _sign_and_word(plain)
    return Reading(answer) if answer else None


def _sign_and_word(plain: str) -> Answer | None:
    """Return the answer of `阴性(-)` and the like, when sign and word agree."""
    for sign, answer in (
        ("+-", Answer.BORDERLINE),
        ("+/-", Answer.BORDERLINE),
        ("±", Answer.BORDERLINE),
        ("-", Answer.NEGATIVE),
        ("+", Answer.POSITIVE),
    ):
        for bare in (plain.removesuffix(sign), plain.removeprefix(sign)):
            if bare != plain:
                return answer if _BY_WORD.get(bare.strip("+-")) is answer else None
    return None
