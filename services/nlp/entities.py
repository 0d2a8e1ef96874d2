"""Mentions in one sentence: problems, medications, and what somebody is allergic to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.nlp import allergens, measured, strength, terms, unlisted
from services.nlp.found import Found, fits, of_match
from services.nlp.headings import Section
from services.nlp.terms import Kind, Term
from services.nlp.tokens import Token

HISTORY = frozenset((Section.PAST_HISTORY, Section.PERSONAL_HISTORY, Section.FAMILY_HISTORY))
NO_MEDICATIONS = frozenset((Section.INVESTIGATIONS, Section.EXAMINATION))
"""There a substance is measured ("folate 12 ng/mL"), not taken."""
FORMS_ZH = re.compile(
    r"(?:缓释|控释|肠溶|分散|咀嚼|泡腾|钠|钾|钙|盐酸盐)*+"
    r"(?:片|胶囊|注射液|颗粒|口服液|气雾剂|吸入剂|粉针|针剂|软膏|滴眼液|糖浆|混悬液|栓|针)"
)


def find(text: str, tokens: Sequence[Token], section: Section) -> list[Found]:
    """Return the mentions in the sentence made of `tokens`, in order, none overlapping."""
    if not tokens:
        return []
    covered = [False] * len(tokens)
    result = allergens.find(text, tokens, section)
    _cover(covered, result)
    for match in terms.PROBLEMS_AND_MEDICATIONS.find(tokens):
        term = match.value.term
        if any(covered[match.first : match.last]) or not fits(text, tokens, match):
            continue
        if term is not None and _counts(term, section):
            found = of_match(term.kind, tokens, match)
            found = _with_form(text, tokens, found) if term.kind is Kind.MEDICATION else found
            _cover(covered, [found])
            result.append(found)
    complaints = list(measured.find(text, tokens, covered))
    _cover(covered, complaints)
    complaints += strength.find(text, tokens, covered)
    _cover(covered, complaints)
    result += complaints
    result += unlisted.find(text, tokens, covered, section)
    return sorted(result, key=lambda each: each.start)


def _counts(term: Term, section: Section) -> bool:
    if term.kind is Kind.MEDICATION:
        return section not in NO_MEDICATIONS
    return term.use != "history" or section in HISTORY


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
