"""Which characters of a Chinese sentence are denied, suspected, over or about somebody else.

A word acts on the rest of its segment (the text between commas): 否认A、B、C病史 denies all three.
It goes on over a comma only into a segment that is a bare list (否认A，B，C病史). A word behind
its object (阴性, 待排, 可能) acts on the list right before it; behind it the segment ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.nlp import triggers
from services.nlp.tokens import Token

COMMAS = frozenset(",，:：;；。")
LIST = frozenset("、及和与或并/")
FILLERS = LIST | frozenset('等病史症状不适表现其他它任何体征以类()（）《》“”"的等')
ENDINGS = frozenset("()（）?？!！.性大较")
PERSON_ENDS = frozenset("患者本人")


def marks(tokens: Sequence[Token], taken: Sequence[bool]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of entities, which are never triggers. Linear in the tokens.
    """
    found = triggers.find(triggers.CHINESE, tokens, taken)
    result = [0] * len(tokens)
    carried = person = first = 0
    for place in range(len(tokens) + 1):
        if place < len(tokens) and tokens[place].key not in COMMAS:
            continue
        bare = _is_list(tokens, taken, found, first, place)
        carried, person = _forward(
            tokens, taken, found, result, (first, place), (carried if bare else 0, person)
        )
        _backward(tokens, taken, found, result, (first, place))
        first = place + 1
    return result


def _is_list(
    tokens: Sequence[Token],
    taken: Sequence[bool],
    found: triggers.Matches,
    first: int,
    last: int,
) -> bool:
    """Tell whether a segment holds entities and what joins them, nothing else."""
    return any(taken[first:last]) and all(
        taken[place] or tokens[place].key in FILLERS for place in range(first, last)
    )


def _forward(
    tokens: Sequence[Token],
    taken: Sequence[bool],
    found: triggers.Matches,
    result: list[int],
    segment: tuple[int, int],
    before: tuple[int, int],
) -> tuple[int, int]:
    """Mark a segment; return what may go on into the next: bits, and somebody else's bit."""
    (place, last), (state, person) = segment, before
    reached, left = bool(state), 0
    while place < last:
        match = found.get(place)
        if match:
            trigger = match.value
            if trigger.stops:
                state = 0
            if trigger.forward & triggers.OTHER_PERSON:
                person = triggers.OTHER_PERSON
            bits = trigger.forward & ~triggers.OTHER_PERSON
            if bits and not _closes(tokens, match, last):
                state, left = _with(state, bits), trigger.reach
                reached = False
            place = min(match.last, last)
            continue
        if "".join(token.key for token in tokens[place : place + 2]) in ("患者", "本人"):
            person = 0
        result[place] |= state | person
        reached = reached or taken[place]
        if left and not taken[place]:
            left, state = 0, 0
        place += 1
        if left and place < last and not taken[place]:
            left, state = 0, 0
    goes_on = reached or _ends_with_trigger(found, segment)
    return (state if goes_on else 0), person


def _ends_with_trigger(found: triggers.Matches, segment: tuple[int, int]) -> bool:
    """否认：A、B: the colon right after the word."""
    first, last = segment
    return any(
        place in found and found[place].last == last for place in range(max(first, last - 4), last)
    )


def _closes(tokens: Sequence[Token], match: triggers.Found, last: int) -> bool:
    """Tell whether a word that acts both ways stands at the end, so that it acts backward."""
    return (
        bool(match.value.backward)
        and all(tokens[place].key in ENDINGS for place in range(match.last, last))
        and tokens[match.first].key not in COMMAS
        and not (last < len(tokens) and tokens[last].key in ":：")
    )


def _with(state: int, bits: int) -> int:
    return (state & ~triggers.CERTAINTY if bits & triggers.CERTAINTY else state) | bits


def _backward(
    tokens: Sequence[Token],
    taken: Sequence[bool],
    found: triggers.Matches,
    result: list[int],
    segment: tuple[int, int],
) -> None:
    """Mark the list right before each word that acts backward and ends its segment or item."""
    first, last = segment
    by_last = {match.last - 1: match for match in found.values()}
    state, ended, place = 0, True, last - 1
    joins = False
    while place >= first:
        match = by_last.get(place)
        if match:
            bits = match.value.backward
            state = (bits if ended and bits else 0) | (
                state if not match.value.forward and not match.value.stops else 0
            )
            if match.value.stops or not bits:
                state = 0
            joins = False
            ended = False
            place = match.first - 1
            continue
        word = tokens[place].key
        if state and (taken[place] or word in FILLERS or not joins):
            if word in LIST and not (word in "或/" or state & ~triggers.UNCERTAIN):
                state = 0
            elif taken[place]:
                result[place] = _with(result[place], state)
                joins = True
        elif state:
            state = 0
        if word in LIST or word in "()（）":
            ended = True
        elif word not in ENDINGS:
            ended = False
        place -= 1
