"""Names in no table, where they stand where only such a name can stand.

A substance before 过敏; in a section of medications a name before a dose, or a line of its own;
in a Chinese list of diagnoses a numbered item. They have no code and no other language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.nlp.found import Found, of_tokens
from services.nlp.headings import Section
from services.nlp.terms import Kind
from services.nlp.tokens import Token, narrow

ALLERGEN_ZH = re.compile(r"对(?P<name>[\u4e00-\u9fffA-Za-z]{1,12}?)(?:类|等)?过敏")
BEFORE_DOSE = re.compile(
    r"(?:^|[;,、:]|[0-9][.)])[ \t]{0,4}"
    r"(?P<name>[A-Za-z][A-Za-z\-]{3,30}|[\u4e00-\u9fff]{2,12}?)"
    r"(?:片|胶囊|注射液|颗粒)?[ \t]{0,3}(?=[0-9]{1,5}(?:\.[0-9]{1,3})?[ ]?"
    r"(?:mg|mcg|μg|ug|g|ml|iu|u|units?|毫克|微克|克|单位|片|粒)(?![a-z]))",
    re.IGNORECASE,
)
LISTED_WORDS_MAX = 3
LISTED_EN = re.compile(r"[A-Z][A-Za-z\-]{3,30}(?:[ ][A-Za-z\-]{3,30}){0,2}")
NOT_LISTED = frozenset(
    (
        *("none", "reviewed", "see", "unchanged", "unknown", "reconciled", "not", "list"),
        *("above", "below", "noted", "the", "denies", "same", "continue", "continued", "updated"),
        *("listed", "medications", "medication", "meds", "reported", "taken", "this", "time"),
    )
)
BULLETS = frozenset("-.*•·")
NUMBERED = frozenset(".)、")
ITEM_BEFORE = re.compile(r"(?:^|\s)[0-9]{1,2}[.)、][ \t]{0,4}$")
ITEM_ENDS = frozenset(",;。.(:")
ZH_NAME = r"[A-Za-z0-9ⅠⅡⅢⅣ\-]{0,8}[\u4e00-\u9fff][\u4e00-\u9fffA-Za-z0-9ⅠⅡⅢⅣ\-]{1,24}"
DIAGNOSIS_ZH = re.compile(ZH_NAME)
ACTION_ZH = re.compile(
    r"[查予请]|治疗|观察|随访|复诊|完善|建议|注意|监测|休息|住院|手术|待|不详|同上|如下"
)


def find(
    text: str, tokens: Sequence[Token], covered: Sequence[bool], section: Section
) -> Iterator[Found]:
    """Yield the names in the sentence made of `tokens` that touch no covered token."""
    if any(token.key == "敏" for token in tokens):
        yield from _by_pattern(ALLERGEN_ZH, Kind.ALLERGY, text, tokens, covered)
    if section is Section.MEDICATIONS:
        dosed = list(_by_pattern(BEFORE_DOSE, Kind.MEDICATION, text, tokens, covered))
        yield from dosed
        if not dosed and not any(covered):
            yield from _medication_line(text, tokens)
    if section is Section.DIAGNOSIS and not any(covered):
        yield from _diagnosis(text, tokens)


def _by_pattern(
    pattern: re.Pattern[str],
    kind: Kind,
    text: str,
    tokens: Sequence[Token],
    covered: Sequence[bool],
) -> Iterator[Found]:
    start, end = tokens[0].start, tokens[-1].end
    matches = list(pattern.finditer(narrow(text[start:end])))
    if not matches:
        return
    firsts = {token.start: place for place, token in enumerate(tokens)}
    lasts = {token.end: place + 1 for place, token in enumerate(tokens)}
    for match in matches:
        first = firsts.get(start + match.start("name"))
        last = lasts.get(start + match.end("name"))
        if first is not None and last is not None and not any(covered[first:last]):
            yield of_tokens(kind, tokens, first, last)


def _medication_line(text: str, tokens: Sequence[Token]) -> Iterator[Found]:
    """Yield a line of one to three Latin words, the first with a capital."""
    places = [place for place, token in enumerate(tokens) if token.key not in BULLETS]
    if not places or len(places) > LISTED_WORDS_MAX:
        return
    first, last = places[0], places[-1] + 1
    name = text[tokens[first].start : tokens[last - 1].end]
    words = {token.key for token in tokens[first:last]}
    if LISTED_EN.fullmatch(name) and not NOT_LISTED & words:
        yield of_tokens(Kind.MEDICATION, tokens, first, last)


def _diagnosis(text: str, tokens: Sequence[Token]) -> Iterator[Found]:
    """Yield a numbered item of a Chinese list of diagnoses."""
    first = 2 if len(tokens) > 2 and tokens[0].key.isdigit() and tokens[1].key in NUMBERED else 0
    start = tokens[0].start
    if not first and not ITEM_BEFORE.search(narrow(text[max(0, start - 8) : start])):
        return
    last = next((n for n in range(first, len(tokens)) if tokens[n].key in ITEM_ENDS), len(tokens))
    name = text[tokens[first].start : tokens[last - 1].end] if last > first else ""
    if DIAGNOSIS_ZH.fullmatch(name) and not ACTION_ZH.search(name):
        yield of_tokens(Kind.PROBLEM, tokens, first, last)
