"""What does not fit together within the record of one patient. Pure; linear but for equal names.

Only statements that exclude each other: a symptom that is denied and told may have come since, so
of problems only chronic diseases and habits count. Each contradiction quotes both statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from services.nlp import sides
from services.nlp.context import Certainty
from services.nlp.headings import Section
from services.nlp.notes import Note
from services.nlp.reading import Mention, Reading
from services.nlp.sides import Side
from services.nlp.terms import Kind
from services.nlp.tokens import narrow

CONTRADICTIONS_MAX = 20
QUOTE_CHARS_MAX = 40
HABITS = frozenset(("Tobacco smoking", "Alcohol drinking", "Alcohol abuse", "Drug use"))
SAME = {
    "Type II diabetes mellitus": "Diabetes mellitus",
    "Type I diabetes mellitus": "Diabetes mellitus",
    "Angina pectoris": "Coronary artery disease",
}
"""Names that deny each other: who has the first has the second."""
GENERAL = frozenset(("Drug (unspecified)", "Any substance"))
"""What a denial of every allergy names."""
NO_DRUGS = frozenset(
    (
        *("Food", "Seafood", "Egg", "Milk", "Peanut", "Mango", "Pollen", "Dust mite", "Latex"),
        *("Adhesive", "Animal dander", "Bee venom", "Alcohol (contact)"),
    )
)
"""A denial of medicines says nothing of these."""
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
_EDGE = re.compile(r"[。；;！!？?\n]|\.(?=\s|$)")
_CLAUSE = re.compile(r"[。；;！!？?，,\n]|\.(?=\s|$)")


class Sort(Enum):
    """What does not fit together; as dxmesh.nlp.v1.ContradictionKind."""

    SIDE = "side"
    ALLERGY = "allergy"
    PROBLEM = "problem"
    SEX = "sex"
    DATES = "dates"


@dataclass(frozen=True, slots=True)
class Place:
    """[start, end) of a note's text; `mention` where it is one."""

    note_id: str
    start: int
    end: int
    mention: Mention | None = None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two statements that exclude each other."""

    sort: Sort
    zh: str
    en: str
    places: tuple[Place, Place]


_WORDS: Mapping[Sort, tuple[str, str]] = {
    Sort.SIDE: ("侧别不一致：“{0}”与“{1}”。", "Sides differ: “{0}” and “{1}”."),
    Sort.ALLERGY: (
        "过敏史前后矛盾：“{0}”与“{1}”。",
        "An allergy is denied and listed: “{0}” and “{1}”.",
    ),
    Sort.PROBLEM: (
        "病史前后矛盾：“{0}”与“{1}”。",
        "A history is denied and told: “{0}” and “{1}”.",
    ),
    Sort.SEX: ("与性别不符：“{0}”与“{1}”。", "Does not fit the sex: “{0}” and “{1}”."),
    Sort.DATES: (
        "出院日期早于入院日期：“{0}”与“{1}”。",
        "Discharge before admission: “{0}” and “{1}”.",
    ),
}


def find(readings: Sequence[Reading]) -> list[Contradiction]:
    """Return the contradictions of the notes of a case, each pair of statements once."""
    texts = {each.note.note_id: each.note.text for each in readings}
    own = [
        mention
        for reading in readings
        for mention in reading.mentions
        if not (mention.said.other_person or mention.said.hypothetical or mention.said.planned)
    ]
    notes = [reading.note for reading in readings if reading.note.text]
    found = (
        *_denied(Sort.ALLERGY, own, texts, lambda each: each.kind is Kind.ALLERGY),
        *_all_allergies_denied(own),
        *_denied(Sort.PROBLEM, own, texts, _lasts),
        *_sided(own, {note_id: narrow(text) for note_id, text in texts.items()}),
        *_of_the_other_sex(own, notes),
        *_dates(notes),
    )
    made = [_made(sort, places, texts) for sort, places in found]
    return list({(each.sort, each.zh): each for each in made}.values())[:CONTRADICTIONS_MAX]


def _made(sort: Sort, places: tuple[Place, Place], texts: Mapping[str, str]) -> Contradiction:
    quotes = [_quote(texts[each.note_id], each) for each in places]
    zh, en = (words.format(*quotes) for words in _WORDS[sort])
    return Contradiction(sort, zh, en, places)


def _quote(text: str, place: Place) -> str:
    """Return a statement as written, with its clause; a denial with all of its list."""
    denied = place.mention is not None and place.mention.said.certainty is Certainty.NEGATED
    edge = max(0, place.start - QUOTE_CHARS_MAX // 2)
    edges = (_EDGE if denied else _CLAUSE).finditer(text, edge, place.start)
    first = max((m.end() for m in edges), default=edge)
    end = _CLAUSE.search(text, place.end, place.end + QUOTE_CHARS_MAX // 4)
    last = end.start() if end else min(len(text), place.end + QUOTE_CHARS_MAX // 4)
    return " ".join(text[first:last].split()).replace("{", "(").replace("}", ")")


def _place(mention: Mention) -> Place:
    return Place(mention.note_id, mention.start, mention.end, mention)


_Found = Iterator[tuple[Sort, tuple[Place, Place]]]


def _name(mention: Mention) -> str:
    name = mention.term.en if mention.term else mention.written.casefold()
    return SAME.get(name, name)


def _lasts(mention: Mention) -> bool:
    """Tell whether a problem, once there, stays: a chronic disease or a habit."""
    term = mention.term
    if mention.kind is not Kind.PROBLEM or term is None:
        return False
    return term.use == "chronic" or term.en in HABITS


def _denied(
    sort: Sort,
    own: Sequence[Mention],
    texts: Mapping[str, str],
    counts: Callable[[Mention], bool],
) -> _Found:
    """Yield what is denied here and told there, the denial first.

    Within one sentence they are of two things: "denies smoking, or living with one who smokes".
    """
    denied: dict[str, Mention] = {}
    told: dict[str, list[Mention]] = {}
    for each in own:
        if each.term is None or each.said.resolved or not counts(each):
            continue
        if each.said.certainty is Certainty.NEGATED:
            denied.setdefault(each.term.en, each)
        elif each.said.certainty is Certainty.AFFIRMED:
            told.setdefault(_name(each), []).append(each)
    for name, mention in denied.items():
        others = (each for each in told.get(name, ()) if _apart(texts, mention, each))
        if other := next(others, None):
            yield sort, (_place(mention), _place(other))


def _apart(texts: Mapping[str, str], one: Mention, other: Mention) -> bool:
    """Tell whether two mentions stand in different sentences."""
    if one.note_id != other.note_id:
        return True
    first, last = sorted((one, other), key=lambda each: each.start)
    return _EDGE.search(texts[one.note_id], first.end, last.start) is not None


def _all_allergies_denied(own: Sequence[Mention]) -> _Found:
    """Yield a denial of every allergy, or of every medicine's, beside one that is listed."""
    allergies = [each for each in own if each.kind is Kind.ALLERGY and each.term]
    for denial in allergies:
        name = denial.term.en if denial.term else ""
        if denial.said.certainty is not Certainty.NEGATED or name not in GENERAL:
            continue
        for listed in allergies:
            other = listed.term.en if listed.term else ""
            fits = name == "Any substance" or other not in NO_DRUGS
            if listed.said.certainty is Certainty.AFFIRMED and other not in GENERAL and fits:
                yield Sort.ALLERGY, (_place(denial), _place(listed))
                return


def _sided(own: Sequence[Mention], texts: Mapping[str, str]) -> _Found:
    """Yield a problem told on the left in one section and on the right in another.

    Within a section both may be there; so may they where some place says that both are.
    """
    known: dict[str, list[tuple[Side, Mention]]] = {}
    for each in own:
        said = each.said
        if each.kind is not Kind.PROBLEM or each.term is None or said.historical:
            continue
        if said.certainty is Certainty.NEGATED or each.section is Section.PAST_HISTORY:
            continue
        if sided := sides.find(texts[each.note_id], each.start, each.end):
            known.setdefault(each.term.en, []).append((sided.side, each))
    for found in known.values():
        by_place: dict[tuple[str, Section], set[Side]] = {}
        for side, each in found:
            by_place.setdefault((each.note_id, each.section), set()).add(side)
        if any(len(said) > 1 or Side.BOTH in said for said in by_place.values()):
            continue
        left = next((m for side, m in found if side is Side.LEFT), None)
        right = next((m for side, m in found if side is Side.RIGHT), None)
        if left and right:
            first, second = sorted((left, right), key=lambda m: (m.note_id, m.start))
            yield Sort.SIDE, (_place(first), _place(second))


def _of_the_other_sex(own: Sequence[Mention], notes: Iterable[Note]) -> _Found:
    """Yield two sexes of one patient, and what the sex that is stated cannot have."""
    stated = [
        (str(match["stated"] or match["zh"] or match["en"]).casefold() in _MEN, note, match)
        for note in notes
        if (match := _SEX.search(note.text))
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
            yield Sort.SEX, (here, _place(each))
            return
    if is_man and (menses := _MENSES.search(note.text)):
        yield Sort.SEX, (here, Place(note.note_id, *menses.span()))


def _dates(notes: Iterable[Note]) -> _Found:
    """Yield an admission and a discharge before it, within one note."""
    for note in notes:
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
