"""Complaints told as a measure: "lost about 5 kg", 体重由60kg降至52kg, "temperature of 39.2 °C".

Each becomes the problem it means, with the words as written. A temperature is a fever from 38.0 °C
on: what a note itself calls one is found by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from services.nlp import terms
from services.nlp.found import Found
from services.nlp.terms import Term
from services.nlp.tokens import Token, narrow, tokenize

FEVER_C, FEVER_F = 38.0, 100.4
"""Degrees, Celsius and Fahrenheit."""
ABOUT = (
    r"(?:about |around |approximately |approx\.? |roughly |nearly |almost |over |up to |some "
    r"|at least |more than |~ ?)?"
)
NUMBER = r"[0-9]{1,3}(?:\.[0-9]{1,2})?"
RANGE = rf"{NUMBER}(?:[ ]?(?:-|to|or|~|至|到)[ ]?{NUMBER})?"
WORD = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty|fifty"
    r"|a few|several)"
)
MASS = r"(?:kg|kgs|kilos?|kilograms?|lbs?|pounds?|stones?)"
MASS_ZH = r"(?:kg|公斤|千克|斤)"
NUMBER_ZH = rf"(?:{RANGE}|[一二两三四五六七八九十数几]{{1,3}})(?:余|多)?"
ABOUT_ZH = r"[了约近有达逾超过]{0,3}[ ]?"
LESS_ZH = r"(?:下降|减轻|减少|降低|减低|掉了?|轻了|丢失)"
VOLUME = r"(?:ml|cc|cups?|teaspoons?) of (?:[a-z]{1,12} )?blood"
SOME_ZH = r"[约近量共]{0,2}[ ]?"
PATTERNS = {
    "Weight loss": (
        rf"\b(?:lost|losing|dropped|shed) {ABOUT}(?:{RANGE}|{WORD})[ -]?{MASS}\b"
        r"(?: of (?:body )?weight)?",
        rf"\b(?:lost|losing) {ABOUT}{RANGE}[ ]?% of (?:his |her |their |the )?"
        r"(?:total |body ){0,2}weight",
        r"\bweight (?:has |had )?"
        r"(?:decreased|dropped|fallen|gone down|went down|is down|down|fell) "
        rf"(?:by |from )?{ABOUT}{RANGE}[ ]?{MASS}?\b",
        rf"体重[^,。;:、]{{0,12}}?{LESS_ZH}{ABOUT_ZH}{NUMBER_ZH}[ ]?{MASS_ZH}",
        rf"体重[由从][ ]?{NUMBER}[ ]?{MASS_ZH}?[^,。;]{{0,6}}?(?:{LESS_ZH}|降|减|跌)(?:至|到|为)"
        rf"[ ]?{NUMBER}[ ]?{MASS_ZH}",
        rf"(?:瘦了?|瘦下来|轻了){ABOUT_ZH}{NUMBER_ZH}[ ]?{MASS_ZH}",
    ),
    "Weight gain": (
        rf"\b(?:gained|gaining|put on) {ABOUT}(?:{RANGE}|{WORD})[ -]?{MASS}\b(?: of weight)?",
        rf"体重[^,。;:、]{{0,12}}?(?:增加|增长|上升|增重|重了){ABOUT_ZH}{NUMBER_ZH}[ ]?{MASS_ZH}",
        rf"(?:胖了?|长胖){ABOUT_ZH}{NUMBER_ZH}[ ]?{MASS_ZH}",
    ),
    "Hemoptysis": (
        rf"\b(?:coughed|coughing|coughs) up {ABOUT}{RANGE}[ ]?{VOLUME}",
        rf"咯(?:出)?(?:鲜|暗红色?|鲜红色?)血{SOME_ZH}{NUMBER_ZH}[ ]?(?:ml|毫升|口)",
    ),
    "Hematemesis": (
        rf"\b(?:vomited|vomiting|threw up) {ABOUT}{RANGE}[ ]?{VOLUME}",
        rf"呕(?:出|吐)?(?:鲜|暗红色?|鲜红色?|咖啡色)血{SOME_ZH}{NUMBER_ZH}[ ]?(?:ml|毫升|口)",
    ),
    "Diarrhea": (
        r"\b(?:[0-9]{1,2}|several|multiple|many)(?:[ ]?(?:-|to)[ ]?[0-9]{1,2})? "
        r"(?:loose|watery|liquid) (?:stools|bowel movements)",
    ),
}
COMPLAINTS = [
    (name, re.compile(pattern, re.IGNORECASE))
    for name, patterns in PATTERNS.items()
    for pattern in patterns
]
TEMPERATURE = re.compile(
    r"(?:\b(?:temperature|temp|tmax|t-max|febrile)(?: max| maximum)?"
    r"(?: was| is| of| to| up to| as high as| at|:){0,3}"
    r"|体温[^,。;0-9]{0,8}|\bT:?(?=[ ]?[34][0-9]\.|[ ]?10[0-9]\.|[ ]?[0-9]{2,3}[ ]?[°º℃℉]))[ ]?"
    r"(?P<degrees>[34][0-9](?:\.[0-9]{1,2})?|(?:9[5-9]|10[0-9])(?:\.[0-9]{1,2})?)"
    r"[ ]?(?:°|º|度|℃|℉|degrees?|deg)?[ ]?(?P<scale>c|f|celsius|fahrenheit)?(?![0-9/%a-z])",
    re.IGNORECASE,
)


NUMBERED = frozenset("一二两三四五六七八九十数几") | frozenset(
    (
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"),
        *("fifteen", "twenty", "thirty", "forty", "fifty", "several", "few", "many", "multiple"),
    )
)
"""Without one of these or a figure a sentence measures nothing."""


@cache
def _term(name: str) -> Term | None:
    found = terms.PROBLEMS_AND_MEDICATIONS.find(tokenize(name))
    return found[0].value.term if found else None


def find(text: str, tokens: Sequence[Token], covered: Sequence[bool]) -> Iterator[Found]:
    """Yield the complaints in the sentence made of `tokens` that touch no covered token."""
    if not any(token.key.isdigit() or token.key in NUMBERED for token in tokens):
        return
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    firsts = {token.start - start: place for place, token in enumerate(tokens)}
    lasts = {token.end - start: place + 1 for place, token in enumerate(tokens)}
    taken = list(covered)
    for name, begin, end in _matches(flat):
        term, first, last = _term(name), firsts.get(begin), lasts.get(end)
        if term is None or first is None or last is None or any(taken[first:last]):
            continue
        taken[first:last] = [True] * (last - first)
        yield Found(term.kind, start + begin, start + end, first, last, term)


def _matches(flat: str) -> Iterator[tuple[str, int, int]]:
    for name, pattern in COMPLAINTS:
        for match in pattern.finditer(flat):
            yield name, *match.span()
    for match in TEMPERATURE.finditer(flat):
        degrees = float(match["degrees"])
        limit = FEVER_F if degrees > 60 else FEVER_C
        if limit <= degrees < (110 if degrees > 60 else 45):
            yield "Fever", match.start(), _trimmed(flat, *match.span())


def _trimmed(flat: str, start: int, end: int) -> int:
    return start + len(flat[start:end].rstrip())
