"""Ordinal results: whether something is there, as laboratories write it.

`阴性`, `(-)`, `negative`, `non-reactive`, `弱阳性(+)`, `±`, `2+`, `3+(阳性)`, `1+ (trace)`, `偶见`,
`低于检测下限`. What is not one of the known spellings stays unread, and so does what contradicts
itself, `阳性(-)`: a doubtful answer must not become a clear one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

from services.labs import tables, values


class Answer(Enum):
    """What an ordinal test says."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    BORDERLINE = "borderline"
    """Trace, ±, weak, few, grey zone: something, though less than a clear answer."""
    PENDING = "pending"
    """There is no answer yet: it is to be repeated or confirmed."""


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
    specimen: str = "blood"


def _test(row: Mapping[str, str]) -> Test:
    return Test(
        row["analyte"],
        row["name_en"],
        row["name_zh"],
        row["expected"] == "negative",
        row["specimen"] or "blood",
    )


BY_ID: Mapping[str, Test] = MappingProxyType(
    {row["analyte"]: _test(row) for row in tables.rows("qualitative")}
)
"""By analyte id."""

TESTS: Mapping[str, Test] = MappingProxyType(
    {row["loinc"]: BY_ID[row["analyte"]] for row in tables.rows("qualitative") if row["loinc"]}
)
"""By LOINC code."""

TEXT_MAX = 60
"""Longest text that is read: a sentence may say more than its first words."""
_GRADED = re.compile(r"([1-4])\+|\+([1-4])")
_PLUSES = re.compile(r"\+{1,4}")
_BESIDE = re.compile(r"(?<=\S)\s*\([^()+±]*\d[^()+±]*\)")
"""A quantity beside the answer of a strip: `2+(28mmol/L)`."""
_PUNCTUATION = re.compile(r"[()\[\]{}\"'.:;,/\s_]+")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")
_BY_WORD: Mapping[str, Answer] = MappingProxyType(
    {row["written"]: Answer(row["answer"]) for row in tables.rows("answers")}
)
"""By spelling without white space and punctuation."""
SIGNS = {"-": Answer.NEGATIVE, "±": Answer.BORDERLINE, "+-": Answer.BORDERLINE}
_PARTS = re.compile(
    r"(?P<grade>[1-4]\+|\+[1-4])|(?P<sign>\+-|±|\+{1,4}|-+)|(?P<word>(?:(?![1-4]\+)[^+±-])+)"
)


@lru_cache(maxsize=2048)
def read(text: str) -> Reading | None:
    """Return what the text of an ordinal result says; None when that is not certain."""
    if not text or len(text) > TEXT_MAX:
        return None
    if ":" in text:
        text = values.without_titre(values.without_pattern(text.replace("：", ":")))
    plain = _BESIDE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    plain = plain.replace("−", "-").replace("–", "-").replace("—", "-").replace("加", "+")
    plain = _PUNCTUATION.sub("", plain.replace("+/-", "±"))
    if found := _GRADED.fullmatch(plain):
        return Reading(Answer.POSITIVE, int(found[1] or found[2]))
    if _PLUSES.fullmatch(plain):
        return Reading(Answer.POSITIVE, len(plain))
    answer = _BY_WORD.get(plain) or _BY_WORD.get(_HYPHEN.sub("", plain))
    return Reading(answer) if answer else _agreeing(_HYPHEN.sub("", plain))


def _agreeing(plain: str) -> Reading | None:
    """Return the answer of `阴性(-)`, `弱阳性(+)`, `3+(阳性)`: one word and one sign that agree."""
    words, signs, grade = [], [], 0
    for part in _PARTS.finditer(plain):
        if part["word"]:
            words.append(part["word"])
        elif part["grade"]:
            signs.append("+")
            grade = int(part["grade"].strip("+"))
        else:
            sign = part["sign"]
            signs.append("+" if sign.startswith("+") and sign != "+-" else sign[:2])
            grade = len(sign) if len(sign) > 1 and set(sign) == {"+"} else grade
    if len(words) != 1 or len(signs) != 1:
        return None
    said, sign = _BY_WORD.get(words[0]), SIGNS.get(signs[0][:2], Answer.POSITIVE)
    if signs[0] == "--":
        sign = Answer.NEGATIVE
    if said is sign:
        return Reading(said, grade)
    if said is Answer.BORDERLINE and sign is Answer.POSITIVE and grade <= 1:
        return Reading(Answer.BORDERLINE)  # 弱阳性(+), 1+ (trace): the plus of a weak answer
    return None
