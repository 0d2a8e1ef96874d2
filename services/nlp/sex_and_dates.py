"""What does not fit the sex of a patient, two sexes, and a discharge before its admission."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from services.nlp.context import Certainty
from services.nlp.notes import Note
from services.nlp.reading import Mention
from services.nlp.statements import Pairs, Place, Sort, place_of
from services.nlp.terms import Kind

OF_WOMEN = re.compile(
    r"pregnan|uter|ovar|cervi(?:x|cal (?:cancer|polyp))|vagin|endometri|salping|fallopian|menstru"
    r"|dysmenorrhea|amenorrhea|metrorrhagia|preeclampsia|eclampsia|placent|hydatidiform",
    re.IGNORECASE,
)
OF_MEN = re.compile(r"prostat|testic|testis|erectile|epididym|orchitis|phimosis", re.IGNORECASE)
_SEX = re.compile(
    r"性别\s*[:：]?\s*(?P<stated>男|女)"
    r"|(?<![母父])(?P<zh>男|女)性?[患者]{0,2}[，,、 ]{0,2}[0-9]{1,3}\s*岁"
    r"|[0-9]{1,3}[- ]?(?:year|yr)s?[- ]old (?:[a-z-]+ ){0,2}"
    r"(?P<en>man|male|gentleman|boy|woman|female|lady|girl)\b",
    re.IGNORECASE,
)
_MEN = frozenset(("男", "man", "male", "gentleman", "boy"))
_MENSES = re.compile(r"末次月经|月经(?:规律|不规律|初潮)|初潮[^。]{0,6}岁|绝经|\bLMP\b")
_DATE = (
    r"(?P<{0}y>(?:19|20)[0-9]{{2}})\s*[-/.年]\s*(?P<{0}m>[0-9]{{1,2}})\s*[-/.月]"
    r"\s*(?P<{0}d>[0-9]{{1,2}})"
)
_ADMITTED = re.compile(
    r"(?:入院(?:日期|时间)?|admi(?:ssion|tted)(?: date| on)?|date of admission)\s*[:：]?\s*"
    + _DATE.format("a"),
    re.IGNORECASE,
)
_DISCHARGED = re.compile(
    r"(?:出院(?:日期|时间)?|discharged?(?: date| on)?|date of discharge)\s*[:：]?\s*"
    + _DATE.format("d"),
    re.IGNORECASE,
)


def of_the_other_sex(own: Sequence[Mention], notes: Iterable[Note]) -> Pairs:
    """Yield two sexes of one patient, and what the sex that is stated cannot have."""
    stated = [
        (str(match["stated"] or match["zh"] or match["en"]).casefold() in _MEN, note, match)
        for note in notes
        if _may_tell_sex(note.text) and (match := _SEX.search(note.text))
    ]
    if not stated:
        return
    is_man, note, match = stated[0]
    here = Place(note.note_id, *match.span())
    for other, there, second in stated[1:]:
        if other is not is_man:
            yield Sort.SEX, (here, Place(there.note_id, *second.span()))
            return
    wrong = OF_WOMEN if is_man else OF_MEN
    for each in own:
        told = each.said.certainty is Certainty.AFFIRMED and each.kind is Kind.PROBLEM
        if told and each.term and wrong.search(each.term.en):
            yield Sort.SEX, (here, place_of(each))
            return
    if is_man and (menses := _MENSES.search(note.text)):
        yield Sort.SEX, (here, Place(note.note_id, *menses.span()))


def _may_tell_sex(text: str) -> bool:
    return "男" in text or "女" in text or "old " in text.lower()


def dates(notes: Iterable[Note]) -> Pairs:
    """Yield an admission and a discharge before it, within one note."""
    for note in notes:
        if not ("19" in note.text or "20" in note.text):  # no year
            continue
        admitted, discharged = _ADMITTED.search(note.text), _DISCHARGED.search(note.text)
        if admitted is None or discharged is None:
            continue
        first, last = _date(admitted, "a"), _date(discharged, "d")
        if first and last and last < first:
            places = (Place(note.note_id, *match.span()) for match in (admitted, discharged))
            yield Sort.DATES, (next(places), next(places))


def _date(match: re.Match[str], prefix: str) -> date | None:
    try:
        return date(*(int(match[f"{prefix}{part}"]) for part in "ymd"))
    except ValueError:  # the 31st of February
        return None
