"""What does not fit together within the record of one patient. Pure; linear but for equal names.

Only statements that exclude each other: a symptom that is denied and told may have come since, so
of problems only chronic diseases and habits count. Each contradiction quotes both statements.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from services.nlp.chart import Chart
from services.nlp.context import Certainty
from services.nlp.headings import Section
from services.nlp.reading import Mention, Reading
from services.nlp.sex_and_dates import dates, of_the_other_sex
from services.nlp.sides import Side
from services.nlp.statements import Contradiction, Pairs, Place, Sort, place_of
from services.nlp.terms import Kind

CONTRADICTIONS_MAX = 20
QUOTE_CHARS_MAX = 40
HABITS = frozenset(("Tobacco smoking", "Alcohol drinking", "Alcohol abuse", "Drug use"))
SAME = {
    "Type II diabetes mellitus": "Diabetes mellitus",
    "Type I diabetes mellitus": "Diabetes mellitus",
    "Angina pectoris": "Coronary artery disease",
}
"""Names that deny each other: who has the first has the second."""
WEAKNESS = frozenset(
    (
        "Generalized weakness",
        "Reduced muscle strength",
        "Hemiparesis",
        "Muscle weakness",
        "Paralysis",
    )
)
ONE_SIDED = frozenset(("Weakness of limbs", "Inguinal hernia", "Femoral hernia", "Hip fracture"))
"""Told of both sides in one section these are odd, too, unless it says so."""
RISEN = frozenset(
    ("血压升高", "血压高", "血压增高", "血糖升高", "尿酸升高", "血脂升高", "depressed", "anxious")
)
"""What was measured or felt once, and is no disease yet that somebody denies to have."""
GENERAL = frozenset(("Drug (unspecified)", "Any substance"))
"""What a denial of every allergy names."""
NO_DRUGS = frozenset(
    (
        *("Food", "Seafood", "Egg", "Milk", "Peanut", "Mango", "Pollen", "Dust mite", "Latex"),
        *("Adhesive", "Animal dander", "Bee venom", "Alcohol (contact)"),
    )
)
"""A denial of medicines says nothing of these."""
_EDGE = re.compile(r"[。；;！!？?\n]|\.(?=\s|$)")
_CLAUSE = re.compile(r"[。；;！!？?，,\n]|\.(?=\s|$)")


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
    found: list[tuple[Sort, tuple[Place, Place]]] = []
    if len(own) > 1:
        found += _denied(Sort.ALLERGY, own, texts, lambda each: each.kind is Kind.ALLERGY)
        found += _all_allergies_denied(own, texts)
        found += _denied(Sort.PROBLEM, own, texts, _lasts)
        found += _sided(own, readings)
    found += [*of_the_other_sex(own, notes), *dates(notes)]
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
    while 0 < edge < place.start and text[edge - 1].isascii() and text[edge - 1].isalnum():
        edge += 1  # no part of a word
    edges = (_EDGE if denied else _CLAUSE).finditer(text, edge, place.start)
    first = max((m.end() for m in edges), default=edge)
    end = _CLAUSE.search(text, place.end, place.end + QUOTE_CHARS_MAX // 4)
    last = end.start() if end else min(len(text), place.end + QUOTE_CHARS_MAX // 4)
    return " ".join(text[first:last].split()).replace("{", "(").replace("}", ")")


def _name(mention: Mention) -> str:
    name = mention.term.en if mention.term else mention.written.casefold()
    return SAME.get(name, name)


def _lasts(mention: Mention) -> bool:
    """Tell whether a problem, once there, stays: a chronic disease or a habit."""
    term = mention.term
    if mention.kind is not Kind.PROBLEM or term is None or mention.written in RISEN:
        return False
    return term.use == "chronic" or term.en in HABITS


def _denied(
    sort: Sort,
    own: Sequence[Mention],
    texts: Mapping[str, str],
    counts: Callable[[Mention], bool],
) -> Pairs:
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
            yield sort, (place_of(mention), place_of(other))


def _apart(texts: Mapping[str, str], one: Mention, other: Mention) -> bool:
    """Tell whether two mentions stand in different sentences."""
    if one.note_id != other.note_id:
        return True
    first, last = sorted((one, other), key=lambda each: each.start)
    return _EDGE.search(texts[one.note_id], first.end, last.start) is not None


def _is_intolerance(text: str, listed: Mention) -> bool:
    """Tell whether a substance is not borne, without an allergy ("intolerance to codeine")."""
    return "intoleran" in text[max(0, listed.start - 24) : listed.start].lower()


def _all_allergies_denied(own: Sequence[Mention], texts: Mapping[str, str]) -> Pairs:
    """Yield a denial of every allergy, or of every medicine's, beside one that is listed."""
    allergies = [each for each in own if each.kind is Kind.ALLERGY and each.term]
    for denial in allergies:
        name = denial.term.en if denial.term else ""
        if denial.said.certainty is not Certainty.NEGATED or name not in GENERAL:
            continue
        for listed in allergies:
            other = listed.term.en if listed.term else ""
            fits = name == "Any substance" or other not in NO_DRUGS
            fits = fits and not _is_intolerance(texts[listed.note_id], listed)
            if listed.said.certainty is Certainty.AFFIRMED and other not in GENERAL and fits:
                yield Sort.ALLERGY, (place_of(denial), place_of(listed))
                return


def _sided(own: Sequence[Mention], readings: Sequence[Reading]) -> Pairs:
    """Yield a problem told on the left in one section and on the right in another.

    Within a section both may be there, of most; so may they where some place says that both are.
    """
    known: dict[str, list[tuple[Side, Mention]]] = {}
    for each in own:
        said = each.said
        if each.kind is not Kind.PROBLEM or each.term is None or said.historical:
            continue
        if said.certainty is Certainty.NEGATED or each.section is Section.PAST_HISTORY:
            continue
        if sided := Chart.side(each):
            name = "Weakness of limbs" if each.term.en in WEAKNESS else each.term.en
            known.setdefault(name, []).append((sided.side, each))
    texts = {each.note.note_id: each.note.text for each in readings}
    for name, found in known.items():
        by_place: dict[tuple[str, int], set[Side]] = {}
        for side, each in found:
            by_place.setdefault((each.note_id, _part(each, readings)), set()).add(side)
        told = set.union(*by_place.values())
        both = any(len(said) > 1 for said in by_place.values()) and name not in ONE_SIDED
        if Side.BOTH in told or both:
            continue
        left = next((m for side, m in found if side is Side.LEFT), None)
        right = next((m for side, m in found if side is Side.RIGHT), None)
        if left and right and _apart(texts, left, right):
            first, second = sorted((left, right), key=lambda m: (m.note_id, m.start))
            yield Sort.SIDE, (place_of(first), place_of(second))


def _part(mention: Mention, readings: Sequence[Reading]) -> int:
    """Return where the section begins that a mention stands in, its parts included."""
    sections = next(r.sections for r in readings if r.note.note_id == mention.note_id)
    starts = [each.start for each in sections if not each.within]
    return starts[max(bisect_right(starts, mention.start) - 1, 0)] if starts else 0
