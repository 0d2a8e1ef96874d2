"""Mentions in one sentence: problems, medications, and what somebody is allergic to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.nlp import terms
from services.nlp.phrases import Match
from services.nlp.sections import Section
from services.nlp.terms import Kind, Name, Term
from services.nlp.tokens import Token

HISTORY = frozenset((Section.PAST_HISTORY, Section.PERSONAL_HISTORY, Section.FAMILY_HISTORY))
NO_MEDICATIONS = frozenset((Section.INVESTIGATIONS, Section.EXAMINATION))
"""There a substance is measured ("folate 12 ng/mL"), not taken."""
FORMS_ZH = re.compile(
    r"(?:缓释|控释|肠溶|分散|咀嚼|泡腾|钠|钾|钙|盐酸盐)*+"
    r"(?:片|胶囊|注射液|颗粒|口服液|气雾剂|吸入剂|粉针|针剂|软膏|滴眼液|糖浆|混悬液|栓|针)"
)
BEHIND_ZH = re.compile(r"[类等药物制剂针片]{0,3}(?:过敏|变态反应)")
JOINS = frozenset("、,，和及或与/") | {"and", "or"}
ALLERGIC_EN = frozenset(("allergic", "allergy", "allergies", "anaphylaxis", "intolerance"))
TO_EN = frozenset(("to",))
UNKNOWN_ALLERGEN = re.compile(r"对([\u4e00-\u9fffA-Za-z]{1,12}?)(?:类|等)?过敏")
UNKNOWN_MEDICATION = re.compile(
    r"(?:^|[;；,，、:：\n]|[0-9][.)、])[ \t]*"
    r"(?P<name>[A-Za-z][A-Za-z\-]{3,30}|[\u4e00-\u9fff]{2,12}?)"
    r"(?:片|胶囊|注射液|颗粒)?[ \t]{0,3}(?=[0-9]{1,5}(?:\.[0-9]{1,3})?[ ]?"
    r"(?:mg|mcg|μg|ug|g|ml|iu|u|units?|毫克|微克|克|单位|片|粒)(?![a-z]))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A mention: its place, the tokens [first, last) it covers, and what it stands for."""

    kind: Kind
    start: int
    end: int
    first: int
    last: int
    term: Term | None
    """None for a name that is in no table, known by where it stands."""
    denies: bool = False


def find(text: str, tokens: Sequence[Token], section: Section) -> list[Found]:
    """Return the mentions in the sentence made of `tokens`, in order, none overlapping."""
    allergens = _allergens(text, tokens, section)
    covered = [False] * len(tokens)
    for each in allergens:
        covered[each.first : each.last] = [True] * (each.last - each.first)
    result = list(allergens)
    for match in terms.PROBLEMS_AND_MEDICATIONS.find(tokens):
        term = match.value.term
        if term is None or any(covered[match.first : match.last]) or not _fits(text, tokens, match):
            continue
        if term.use == "history" and section not in HISTORY:
            continue
        if term.kind is Kind.MEDICATION and section in NO_MEDICATIONS:
            continue
        covered[match.first : match.last] = [True] * (match.last - match.first)
        result.append(_found(text, tokens, match, term.kind))
    result += _unknown(text, tokens, covered, section)
    return sorted(result, key=lambda each: each.start)


def _fits(text: str, tokens: Sequence[Token], match: Match[Name]) -> bool:
    return match.value.fits(text[tokens[match.first].start : tokens[match.last - 1].end])


def _found(text: str, tokens: Sequence[Token], match: Match[Name], kind: Kind) -> Found:
    start, end, last = tokens[match.first].start, tokens[match.last - 1].end, match.last
    if kind is Kind.MEDICATION and (form := FORMS_ZH.match(text, end, tokens[-1].end)):
        end = form.end()
        while last < len(tokens) and tokens[last].end <= end:
            last += 1
    return Found(kind, start, end, match.first, last, match.value.term, match.value.denies)


def _allergens(text: str, tokens: Sequence[Token], section: Section) -> list[Found]:
    speaks = section is Section.ALLERGIES
    if not speaks and not _speaks_of_allergy(tokens):
        return []
    matches = [m for m in terms.ALLERGENS.find(tokens) if _fits(text, tokens, m)]
    chosen = [True] * len(matches) if speaks else _allergic(text, tokens, matches)
    result = [
        _found(text, tokens, match, Kind.ALLERGY)
        for match, is_one in zip(matches, chosen, strict=True)
        if is_one
    ]
    return result


def _speaks_of_allergy(tokens: Sequence[Token]) -> bool:
    return any(
        token.key in ALLERGIC_EN
        or token.key in ("nkda", "nka")
        or (token.key == "过" and place + 1 < len(tokens) and tokens[place + 1].key == "敏")
        for place, token in enumerate(tokens)
    )


def _allergic(text: str, tokens: Sequence[Token], matches: Sequence[Match[Name]]) -> list[bool]:
    """Tell of each match whether it is an allergen: beside "allergy", or listed with such."""
    result = [False] * len(matches)
    for place in range(len(matches) - 1, -1, -1):
        match = matches[place]
        end = tokens[match.last - 1].end
        follows = tokens[match.last].key if match.last < len(tokens) else ""
        result[place] = (
            match.value.denies
            or bool(BEHIND_ZH.match(text, end, tokens[-1].end))
            or follows in ALLERGIC_EN
            or (
                place + 1 < len(matches)
                and result[place + 1]
                and follows in JOINS
                and matches[place + 1].first - match.last <= 2
            )
        )
    for place, match in enumerate(matches):
        before = [token.key for token in tokens[max(0, match.first - 3) : match.first]]
        listed = (
            place > 0
            and result[place - 1]
            and match.first - matches[place - 1].last <= 2
            and bool(before)
            and before[-1] in JOINS
        )
        to = "to" in before and bool(ALLERGIC_EN & set(before))
        result[place] = result[place] or to or listed
    return result


def _unknown(
    text: str, tokens: Sequence[Token], covered: Sequence[bool], section: Section
) -> Iterator[Found]:
    """Yield names in no table that stand where only such a name can stand."""
    if not tokens:
        return
    start, end = tokens[0].start, tokens[-1].end
    by_start = {token.start: place for place, token in enumerate(tokens)}
    by_end = {token.end: place + 1 for place, token in enumerate(tokens)}
    patterns = [(UNKNOWN_ALLERGEN, 1, Kind.ALLERGY)]
    if section is Section.MEDICATIONS:
        patterns.append((UNKNOWN_MEDICATION, 1, Kind.MEDICATION))
    for pattern, group, kind in patterns:
        for match in pattern.finditer(text[start:end]):
            first = by_start.get(start + match.start(group))
            last = by_end.get(start + match.end(group))
            if first is None or last is None or any(covered[first:last]):
                continue
            yield Found(
                kind, start + match.start(group), start + match.end(group), first, last, None
            )
