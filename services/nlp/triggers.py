"""The words of `triggers.tsv` found in a sentence, the longest at each place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.phrases import Match, Phrases
from services.nlp.tokens import Token

NEGATED, RESOLVED, UNCERTAIN, HYPOTHETICAL, HISTORICAL, OTHER_PERSON = (
    1 << bit for bit in range(6)
)
"""Bits of what context says of a token."""
CERTAINTY = NEGATED | RESOLVED | UNCERTAIN | HYPOTHETICAL
"""Of these the nearest counts."""
BITS = {
    "negated": NEGATED,
    "resolved": RESOLVED,
    "uncertain": UNCERTAIN,
    "hypothetical": HYPOTHETICAL,
    "historical": HISTORICAL,
    "other_person": OTHER_PERSON,
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a phrase does: `forward` to what follows it, `backward` to what precedes it."""

    forward: int = 0
    backward: int = 0
    reach: int = 0
    """Tokens it reaches forward at most; 0: to the end of its clause."""
    stops: bool = False


Found = Match[Trigger]
Matches = dict[int, Found]
"""Triggers by their first token."""


def _load(language: str) -> Phrases[Trigger]:
    found: dict[str, Trigger] = {}
    for row in tables.rows("triggers"):
        if row["language"] == language:
            phrase = row["phrase"]
            found[phrase] = _joined(found.get(phrase, Trigger()), row)
    return Phrases(found.items())


def _joined(known: Trigger, row: dict[str, str]) -> Trigger:
    bit = BITS.get(row["kind"], 0)
    return Trigger(
        known.forward | (bit if row["way"] == "forward" else 0),
        known.backward | (bit if row["way"] == "backward" else 0),
        int(row["reach"] or known.reach),
        known.stops or row["kind"] == "stop",
    )


ENGLISH, CHINESE = _load("en"), _load("zh")


def find(phrases: Phrases[Trigger], tokens: Sequence[Token], taken: Sequence[bool]) -> Matches:
    """Return the triggers by their first token; none reaches into a taken token."""
    free = [
        Token(token.start, token.end, "") if is_taken else token
        for token, is_taken in zip(tokens, taken, strict=True)
    ]
    return {match.first: match for match in phrases.find(free)}


def joined(state: int, bits: int) -> int:
    """Return the bits of a token with new ones: of `CERTAINTY` only the latest hold."""
    return (state & ~CERTAINTY if bits & CERTAINTY else state) | bits
