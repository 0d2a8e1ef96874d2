"""A mention in a sentence, before its context is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.nlp.phrases import Match
from services.nlp.terms import Kind, Name, Term
from services.nlp.tokens import Token


@dataclass(frozen=True, slots=True)
class Found:
    """A mention: its place, the tokens [first, last) it covers, and what it stands for."""

    kind: Kind
    start: int
    end: int
    first: int
    last: int
    term: Term | None = None
    """None for a name that is in no table, known by where it stands."""
    denies: bool = False


def of_tokens(kind: Kind, tokens: Sequence[Token], first: int, last: int) -> Found:
    """Return the mention of a name in no table made of tokens [first, last)."""
    return Found(kind, tokens[first].start, tokens[last - 1].end, first, last)


def of_match(kind: Kind, tokens: Sequence[Token], match: Match[Name]) -> Found:
    """Return the mention of a name of the tables."""
    start, end = tokens[match.first].start, tokens[match.last - 1].end
    name = match.value
    return Found(kind, start, end, match.first, match.last, name.term, name.denies)


def fits(text: str, tokens: Sequence[Token], match: Match[Name]) -> bool:
    """Tell whether a name is written as it must be (COPD in capitals)."""
    return match.value.fits(text[tokens[match.first].start : tokens[match.last - 1].end])
