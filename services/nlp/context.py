"""What a sentence says of each mention: denied, suspected, planned, over, somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from services.nlp import chinese, english, triggers
from services.nlp.passages import is_chinese
from services.nlp.tokens import Token

ASSERTIONS_MAX = 1_024
"""Of few things that are said most mentions are made: each is worked out once."""


class Certainty(Enum):
    """How sure the note is."""

    __hash__ = object.__hash__  # members are single; the hash of their names is slow

    AFFIRMED = "affirmed"
    NEGATED = "negated"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is said of a mention. Only what is `AFFIRMED` may be told as something that is."""

    certainty: Certainty = Certainty.AFFIRMED
    historical: bool = False
    other_person: bool = False
    resolved: bool = False
    """It was there and is gone: negated and historical, but nobody denied it."""
    hypothetical: bool = False
    """Something to watch for, or under a condition ("return if …"): uncertain, and not there."""
    planned: bool = False
    """Something to be done or given, and not yet: uncertain."""
    own: bool = False
    """The sentence expressly says that it is the patient's ("he himself has …")."""


@dataclass(frozen=True, slots=True)
class Range:
    """Tokens [first, last) of a mention in its sentence."""

    first: int
    last: int
    is_act: bool = False
    """It is done or given (an operation, a medicine), so it can be planned; a disease cannot."""
    is_complaint: bool = False
    """What one complains of, not the disease behind it: of "fever, cause unknown" it is there."""
    is_measured: bool = False
    """It is told as a measure ("temperature 39.2 °C"), so nobody denies it in a list."""


def assertions(tokens: Sequence[Token], mentions: Sequence[Range]) -> list[Assertion]:
    """Return what the sentence made of `tokens` says of each of its mentions. Linear time."""
    taken = [0] * len(tokens)
    for each in mentions:
        kind = triggers.ACT if each.is_act else triggers.DISEASE
        kind |= triggers.COMPLAINT if each.is_complaint else 0
        kind |= triggers.MEASURED if each.is_measured else 0
        for place in range(each.first, each.last):
            taken[place] = kind
        taken[each.first] |= triggers.FIRST
    marks = (chinese if is_chinese(tokens) else english).marks(tokens, taken)
    # The first token has what stands before the mention, the last what stands behind.
    return [
        _assertion(marks[each.first] | marks[each.last - 1], each.is_act, each.is_complaint)
        for each in mentions
    ]


@lru_cache(ASSERTIONS_MAX)
def _assertion(bits: int, is_act: bool, is_complaint: bool) -> Assertion:
    if bits & triggers.OF_DISEASE and is_complaint:
        bits &= ~triggers.UNCERTAIN
    if bits & triggers.RESOLVED and is_act:
        bits = bits & ~triggers.RESOLVED | triggers.HISTORICAL  # a medicine is stopped, not gone
    resolved = bool(bits & triggers.RESOLVED)
    hypothetical = bool(bits & triggers.HYPOTHETICAL)
    denied = bool(bits & triggers.NEGATED) or resolved
    is_open = bool(bits & triggers.PLANNED) and not bits & triggers.CARRIED_OUT
    planned = is_act and is_open and not hypothetical and not denied
    if bits & triggers.UNCERTAIN or hypothetical or planned:
        certainty = Certainty.UNCERTAIN
    else:
        certainty = Certainty.NEGATED if denied else Certainty.AFFIRMED
    # When a relative fell ill is a date, not that it is over.
    over = bool(bits & triggers.HISTORICAL) and not (
        bits & triggers.WEAK and bits & triggers.OTHER_PERSON
    )
    return Assertion(
        certainty,
        # What was never there, or is not there yet, is not over.
        historical=resolved or (over and not (denied or hypothetical or planned)),
        other_person=bool(bits & triggers.OTHER_PERSON),
        resolved=resolved and not hypothetical,
        hypothetical=hypothetical,
        planned=planned,
        own=bool(bits & triggers.OWN),
    )
