"""Mentions in one sentence: problems, medications, and what somebody is allergic to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from services.nlp import allergens, measured, overdose, strength, terms, unlisted
from services.nlp.found import Found, fits, of_match
from services.nlp.headings import Section
from services.nlp.terms import Kind, Term
from services.nlp.tokens import Token, tokenize

HISTORY = frozenset((Section.PAST_HISTORY, Section.PERSONAL_HISTORY, Section.FAMILY_HISTORY))
TOLD = frozenset((Section.PRESENT_HISTORY, Section.UNSPECIFIED, Section.CHIEF_COMPLAINT))
HABITS = frozenset(("Tobacco smoking", "Alcohol abuse", "Drug use"))
"""What an illness may come from is told with it, too (cocaine and chest pain)."""
NO_MEDICATIONS = frozenset((Section.INVESTIGATIONS, Section.EXAMINATION))
"""There a substance is measured ("folate 12 ng/mL"), not taken."""
VACCINATED = frozenset(
    ("Influenza", "Measles", "Hepatitis B", "Hepatitis", "Pneumonia", "Shingles", "Chickenpox")
)
VACCINES = re.compile("immuni[sz]|vaccin|疫苗|接种")
LIMBS_EN = frozenset(
    (
        *("calf", "calves", "leg", "legs", "arm", "arms", "knee", "knees", "ankle", "wrist", "hip"),
        *(
            "shoulder",
            "elbow",
            "hand",
            "foot",
            "spine",
            "spinal",
            "midline",
            "neck",
            "back",
            "thigh",
        ),
        *(
            "chest",
            "rib",
            "ribs",
            "sternal",
            "sinus",
            "scalp",
            "joint",
            "joints",
            "ext",
            "temporal",
        ),
    )
)
ABDOMEN_EN = frozenset(("abdomen", "abdominal", "abd", "belly", "epigastric", "ruq", "rlq", "llq"))
ABOUT = frozenset("大约已近")
"""Between 停经 and its weeks."""
LIMBS_ZH = (
    "下肢",
    "上肢",
    "小腿",
    "大腿",
    "关节",
    "脊柱",
    "棘突",
    "胸壁",
    "胸骨",
    "肋骨",
    "颈部",
    "腰椎",
    "腓肠肌",
)
FORMS_ZH = re.compile(
    r"(?:缓释|控释|肠溶|分散|咀嚼|泡腾|钠|钾|钙|盐酸盐)*+"
    r"(?:片|胶囊|注射液|颗粒|口服液|气雾剂|吸入剂|粉针|针剂|软膏|滴眼液|糖浆|混悬液|栓|针)"
)


def find(text: str, tokens: Sequence[Token], section: Section) -> list[Found]:
    """Return the mentions in the sentence made of `tokens`, in order, none overlapping."""
    if not tokens:
        return []
    covered = [False] * len(tokens)
    of_vaccines = _of_vaccines(tokens)
    result = allergens.find(text, tokens, section)
    _cover(covered, result)
    for match in terms.PROBLEMS_AND_MEDICATIONS.find(tokens):
        term = match.value.term
        if any(covered[match.first : match.last]) or not fits(text, tokens, match):
            continue
        if (
            term is not None
            and _counts(term, section)
            and not (of_vaccines and term.en in VACCINATED)
        ):
            found = of_match(term.kind, tokens, match)
            found = _at_its_site(found, tokens)
            if term.en == "Amenorrhea" and _counts_weeks(tokens, match.last):
                continue
            found = _with_form(text, tokens, found) if term.kind is Kind.MEDICATION else found
            _cover(covered, [found])
            result.append(found)
    if _tells_numbers(tokens):
        complaints = list(measured.find(text, tokens, covered))
        _cover(covered, complaints)
        complaints += strength.find(text, tokens, covered)
        complaints += overdose.find(text, tokens, covered)
        _cover(covered, complaints)
        result += complaints
    result += unlisted.find(text, tokens, covered, section)
    return sorted(result, key=lambda each: each.start)


def _tells_numbers(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence has a figure, a word for a number or a grade (肌力Ⅳ级)."""
    keys = {token.key for token in tokens}
    return any(map(str.isdigit, keys)) or not keys.isdisjoint(measured.NUMBERED) or "级" in keys


def _of_vaccines(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is of vaccines ("up to date except influenza")."""
    return VACCINES.search("".join([token.key for token in tokens])) is not None


def _counts_weeks(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether weeks of a pregnancy stand here (停经36+2周)."""
    while place < len(tokens) and tokens[place].key in ABOUT:
        place += 1
    return any(token.key == "周" for token in tokens[place : place + 5]) and (
        tokens[place : place + 1] != [] and tokens[place].key.isdigit()
    )


def _at_its_site(found: Found, tokens: Sequence[Token]) -> Found:
    """Return a tenderness that a limb or the back has as one that is not of the abdomen."""
    if found.term is None or found.term.en != "Abdominal tenderness" or found.denies:
        return found
    if found.last - found.first > len("压痛"):
        return found
    words = {token.key for token in tokens}
    text = "".join(token.key for token in tokens)
    elsewhere = not LIMBS_EN.isdisjoint(words) or any(word in text for word in LIMBS_ZH)
    abdomen = not ABDOMEN_EN.isdisjoint(words) or "腹" in text
    return replace(found, term=_tenderness()) if elsewhere and not abdomen else found


@cache
def _tenderness() -> Term | None:
    found = terms.PROBLEMS_AND_MEDICATIONS.find(tokenize("触痛"))
    return found[0].value.term if found else None


def _counts(term: Term, section: Section) -> bool:
    if term.kind is Kind.MEDICATION:
        return section not in NO_MEDICATIONS
    told = term.en in HABITS and section in TOLD
    return term.use != "history" or section in HISTORY or told


def _cover(covered: list[bool], found: Iterable[Found]) -> None:
    for each in found:
        covered[each.first : each.last] = [True] * (each.last - each.first)


def _with_form(text: str, tokens: Sequence[Token], found: Found) -> Found:
    """Return the medication with the form written behind its name (氨氯地平片)."""
    form = FORMS_ZH.match(text, found.end, tokens[-1].end)
    if form is None:
        return found
    last = found.last
    while last < len(tokens) and tokens[last].end <= form.end():
        last += 1
    return replace(found, end=form.end(), last=last)
