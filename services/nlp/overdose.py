"""Many tablets taken at once: 顿服A片40片, "took approx 40 tablets of A".

The word for taking becomes the problem, with how many as its amount; the medicine is one that was
taken, not one that is in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from services.nlp import terms
from services.nlp.details import Detail, DetailKind
from services.nlp.found import Found
from services.nlp.terms import Term
from services.nlp.tokens import Token, narrow, tokenize

TABLETS_MIN, TABLETS_MIN_PLAIN = 10, 20
"""At once and in one go; by a word that is used of every dose."""
_COUNT_ZH = r"(?P<count>[0-9]{2,3})[ ]?(?:余|多)?[ ]?(?:片|粒|颗)"
_ZH = re.compile(
    rf"(?P<at_once>吞服|吞食|误服|一次性(?:口服|服用|服下)?|大量(?:口服|服用)|服毒)[^,。;]{{0,24}}?{_COUNT_ZH}"
)
_ZH_PLAIN = re.compile(
    rf"(?P<at_once>自?服(?:用|下)?|口服|顿服)[^,。;]{{0,24}}?{_COUNT_ZH}(?![/装])"
)
_EN = re.compile(
    r"\b(?P<at_once>took|taken|ingested|ingesting|swallowed|ingestion of)\b[^.;]{0,30}?"
    r"\b(?P<count>[0-9]{2,3}) (?:[a-z]+ )?(?:tablets?|pills?|capsules?|tabs?)\b"
    r"(?! (?:over|daily|a day|per|each|every))",
    re.IGNORECASE,
)
_FORMS = ((_ZH, TABLETS_MIN), (_ZH_PLAIN, TABLETS_MIN_PLAIN), (_EN, TABLETS_MIN))
_DAILY = re.compile(r"[每日晨]次|每[日天次晚周]|晨起|/[日天d]|疗程|[qbt]i?d\b", re.IGNORECASE)
"""Twelve tablets of prednisone in the morning are a dose."""
NAME = "Drug overdose"


@cache
def _term() -> Term | None:
    found = terms.PROBLEMS_AND_MEDICATIONS.find(tokenize("药物过量"))
    return found[0].value.term if found else None


def find(text: str, tokens: Sequence[Token], covered: Sequence[bool]) -> Iterator[Found]:
    """Yield the taking in the sentence made of `tokens`, where no token is covered."""
    if not any(token.key.isdigit() and len(token.key) > 1 for token in tokens):
        return
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    for form, least in _FORMS:
        match = form.search(flat)
        if match is None or int(match["count"]) < least:
            continue
        if form is _ZH_PLAIN and _DAILY.search(flat):
            continue
        first = next((n for n, t in enumerate(tokens) if t.start - start == match.start()), None)
        last = next((n + 1 for n, t in enumerate(tokens) if t.end - start == match.end(1)), None)
        term = _term()
        if term and first is not None and last is not None and not any(covered[first:last]):
            begin, end = tokens[first].start, tokens[last - 1].end
            yield Found(term.kind, begin, end, first, last, term)
        return


def amount(text: str, start: int, stop: int) -> Detail | None:
    """Return how many tablets stand behind the word at `start`."""
    flat = narrow(text[start:stop])
    for form, _ in _FORMS:
        if match := form.match(flat):
            first = start + match.start("count")
            return Detail(DetailKind.AMOUNT, first, start + match.end())
    return None
