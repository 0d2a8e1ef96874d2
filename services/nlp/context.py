"""What a sentence says of each mention in it: denied, suspected, over, about somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from services.nlp import chinese, english, triggers
from services.nlp.tokens import Token, is_han


class Certainty(Enum):
    """How sure the note is."""

    AFFIRMED = "affirmed"
    NEGATED = "negated"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is said of a mention."""

    certainty: Certainty = Certainty.AFFIRMED
    historical: bool = False
    other_person: bool = False
    resolved: bool = False
    """It was there and is gone: negated and historical, but nobody denied it."""
    hypothetical: bool = False
    """Something to watch for ("return if …"): uncertain, and nothing the patient has."""


@dataclass(frozen=True, slots=True)
class Range:
    """Tokens [first, last) of a mention in its sentence."""

    first: int
    last: int


def assertions(tokens: Sequence[Token], mentions: Sequence[Range]) -> list[Assertion]:
    """Return what the sentence made of `tokens` says of each of its mentions. Linear time."""
    taken = [False] * len(tokens)
    for each in mentions:
        for place in range(each.first, each.last):
            taken[place] = True
    marks = (chinese if is_chinese(tokens) else english).marks(tokens, taken)
    # The first token has what stands before the mention, the last what stands behind.
    return [_assertion(marks[each.first], marks[each.last - 1]) for each in mentions]


def is_chinese(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence is read by the Chinese rules: at least as much Han as words."""
    han = sum(is_han(token.key[:1]) for token in tokens)
    return han > 0 and han >= sum(token.key[:1].isalpha() for token in tokens) - han


def _assertion(first: int, last: int) -> Assertion:
    both = first | last
    resolved = bool(both & triggers.RESOLVED)
    hypothetical = bool(both & triggers.HYPOTHETICAL)
    if both & triggers.UNCERTAIN or hypothetical:
        certainty = Certainty.UNCERTAIN
    elif both & triggers.NEGATED or resolved:
        certainty = Certainty.NEGATED
    else:
        certainty = Certainty.AFFIRMED
    return Assertion(
        certainty,
        historical=resolved or bool(both & triggers.HISTORICAL),
        other_person=bool(both & triggers.OTHER_PERSON),
        resolved=resolved,
        hypothetical=hypothetical,
    )
