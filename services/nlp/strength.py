"""Muscle strength told as a grade: 左下肢肌力3级, "strength 4/5 in the right arm", "LUE 1/5".

A grade below 5 of the Medical Research Council scale is a finding, 5 denies one. The side is found
as that of any problem. Also what a liver or spleen felt below the ribs is called: 脾肋下3cm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from services.nlp import terms
from services.nlp.found import Found
from services.nlp.terms import Term
from services.nlp.tokens import Token, narrow, tokenize

_ROMAN = {"Ⅰ": 1, "Ⅱ": 2, "Ⅲ": 3, "Ⅳ": 4, "Ⅴ": 5, "I": 1, "II": 2, "III": 3, "IV": 4, "V": 5}
_GRADE_ZH = r"(?P<zh>[0-5]|[Ⅰ-Ⅴ]|I{1,3}V?|IV|V)(?:[+-]|[ ]?[-~][ ]?[1-5][+-]?)?[ ]?级"
_STRENGTH = re.compile(
    rf"肌力(?:上肢|下肢|近端|远端|均|约|为|是|[正约]?常?[,:]|[ ]){{0,3}}{_GRADE_ZH}"
    r"|\b(?:(?i:(?:muscle |motor )?strength|motor|power)(?: is| was| of|:)?[ ]"
    r"|(?:[LR][UL]E)(?: and (?:[LR][UL]E))?:?[ ])(?P<en>[0-5])[+-]?[ ]?/[ ]?5(?![0-9])"
)
_BELOW = re.compile(
    r"(?P<organ>肝|脾)脏?(?:在)?(?:右|左)?(?:锁骨中线)?肋(?:缘)?下(?:可触及)?(?:约)?[ ]?"
    r"[1-9][0-9]?(?:\.[0-9])?[ ]?(?:cm|厘米|横指|指)"
)
NORMAL = 5


@cache
def _term(name: str) -> Term | None:
    found = terms.PROBLEMS_AND_MEDICATIONS.find(tokenize(name))
    return found[0].value.term if found else None


def find(text: str, tokens: Sequence[Token], covered: Sequence[bool]) -> Iterator[Found]:
    """Yield the grades and sizes in the sentence made of `tokens` that touch no covered token."""
    if not any(token.key[:1].isdigit() or token.key == "级" for token in tokens):
        return
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    found = [(match, _graded(match)) for match in _STRENGTH.finditer(flat)]
    found += [(match, _enlarged(match)) for match in _BELOW.finditer(flat)]
    if not found:
        return
    firsts = {token.start - start: place for place, token in enumerate(tokens)}
    lasts = {token.end - start: place + 1 for place, token in enumerate(tokens)}
    for match, (term, denies) in found:
        first, last = firsts.get(match.start()), lasts.get(match.end())
        if term and first is not None and last is not None and not any(covered[first:last]):
            begin, end = tokens[first].start, tokens[last - 1].end
            yield Found(term.kind, begin, end, first, last, term, denies)


def _graded(match: re.Match[str]) -> tuple[Term | None, bool]:
    written = match["zh"] or match["en"]
    grade = _ROMAN.get(written) or int(written) if not written.isalpha() else _ROMAN[written]
    range_up = match["zh"] is not None and re.search(r"[-~][ ]?[1-5]", match.group())
    below = grade < NORMAL or match.group().rstrip(" 级").endswith("-") or bool(range_up)
    return _term("肌力减退"), not below


def _enlarged(match: re.Match[str]) -> tuple[Term | None, bool]:
    return _term("肝大" if match["organ"] == "肝" else "脾大"), False
