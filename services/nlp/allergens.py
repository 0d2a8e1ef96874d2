"""What somebody is allergic to: known substances where the note speaks of allergy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from services.nlp import terms
from services.nlp.found import Found, fits, of_match
from services.nlp.headings import Section
from services.nlp.phrases import Match
from services.nlp.terms import Kind, Name
from services.nlp.tokens import Token, narrow

WORDS_EN = frozenset(("allergic", "allergy", "allergies", "anaphylaxis", "intolerance"))
ABBREVIATIONS = frozenset(("nkda", "nka"))
BEHIND_ZH = re.compile(r"[类等药物制剂针片]{0,3}(?:过敏|变态反应)")
CLAUSE_TOKENS_MAX = 24
CLAUSE_ENDS = frozenset("，,;；。")
BORNE = re.compile(r"耐受|不过敏|tolerat|can take|no (?:reaction|allergy|problem)")
"""Before a substance that is borne."""
BORNE_BEHIND = re.compile(r"without (?:any )?(?:problem|issue|reaction|difficult|trouble)")
HELPED = re.compile(r"好转|缓解|消退|减轻|治愈|治疗|relie(?:f|ved)|resol|improve")
TREATED = re.compile(r"(?:treated|relieved|managed) (?:with|by) *$")
"""Behind and before what a reaction was treated with."""
BEHIND_CHARS = 12
JOINS = frozenset("、,和及或与/") | {"and", "or"}
GAP_TOKENS_MAX = 2
"""Between two substances of one list stand at most these, a comma and a word, or nothing."""


def find(text: str, tokens: Sequence[Token], section: Section) -> list[Found]:
    """Return the substances in the sentence made of `tokens`, in order."""
    inside = section is Section.ALLERGIES
    if not inside and not _speaks_of_allergy(tokens):
        return []
    matches = [match for match in terms.ALLERGENS.find(tokens) if fits(text, tokens, match)]
    chosen = _chosen(text, tokens, matches) if not inside else [True] * len(matches)
    chosen = [
        is_one and not _is_borne(text, tokens, match)
        for is_one, match in zip(chosen, matches, strict=True)
    ]
    return [
        of_match(Kind.ALLERGY, tokens, match)
        for match, is_one in zip(matches, chosen, strict=True)
        if is_one
    ]


def _speaks_of_allergy(tokens: Sequence[Token]) -> bool:
    keys = [token.key for token in tokens]
    if not WORDS_EN.isdisjoint(keys) or not ABBREVIATIONS.isdisjoint(keys):
        return True
    return any(pair == ("过", "敏") for pair in itertools.pairwise(keys))


def _chosen(text: str, tokens: Sequence[Token], matches: Sequence[Match[Name]]) -> list[bool]:
    """Tell of each match whether it stands beside a word for allergy, or is listed with such."""
    result = [_beside(text, tokens, match) for match in matches]
    pairs = range(1, len(matches))
    for place in reversed(pairs):
        joined = _joined(tokens, matches[place - 1], matches[place])
        result[place - 1] = result[place - 1] or (result[place] and joined)
    for place in pairs:
        joined = _joined(tokens, matches[place - 1], matches[place])
        result[place] = result[place] or (result[place - 1] and joined)
    return result


def _beside(text: str, tokens: Sequence[Token], match: Match[Name]) -> bool:
    end = tokens[match.last - 1].end
    follows = tokens[match.last].key if match.last < len(tokens) else ""
    before = {token.key for token in tokens[max(0, match.first - 3) : match.first]}
    return (
        match.value.denies
        or follows in WORDS_EN
        or ("to" in before and not WORDS_EN.isdisjoint(before))
        or BEHIND_ZH.match(narrow(text[end : min(end + BEHIND_CHARS, tokens[-1].end)])) is not None
    )


def _is_borne(text: str, tokens: Sequence[Token], match: Match[Name]) -> bool:
    """Tell whether a substance is one that is tolerated, or that a reaction was treated with."""
    first = match.first
    while match.first - first < CLAUSE_TOKENS_MAX and first and not _ends(tokens[first - 1]):
        first -= 1
    last = match.last
    while last - match.last < CLAUSE_TOKENS_MAX and last < len(tokens) and not _ends(tokens[last]):
        last += 1
    start, end = tokens[match.first].start, tokens[match.last - 1].end
    before = narrow(text[tokens[first].start : start]).lower()
    behind = narrow(text[end : tokens[last - 1].end]).lower()
    return bool(BORNE.search(before) or TREATED.search(before) or HELPED.search(behind)) or (
        BORNE_BEHIND.search(behind) is not None and " but " not in behind
    )


def _ends(token: Token) -> bool:
    return token.key in CLAUSE_ENDS


def _joined(tokens: Sequence[Token], one: Match[Name], other: Match[Name]) -> bool:
    between = tokens[one.last : other.first]
    return len(between) <= GAP_TOKENS_MAX and all(token.key in JOINS for token in between)
