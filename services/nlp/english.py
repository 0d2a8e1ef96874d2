"""Which tokens of an English sentence are denied, suspected, over or about somebody else.

After ConText: a trigger acts on what follows or precedes it, up to a word that stops it or to
a new clause. A comma begins a new clause where a finite verb follows before the next comma.

Source: Harkema et al., J Biomed Inform 2009;42:839 (the algorithm; the tables are ours).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.nlp import triggers
from services.nlp.tokens import Token

VERBS = frozenset(
    (
        "is", "are", "was", "were", "has", "have", "had", "shows", "showed", "reveals", "revealed",
        "appears", "appeared", "remains", "remained", "does", "did", "will", "would", "can",
        "could", "should", "feels", "felt", "seems", "became", "becomes", "continues", "takes",
        "lives", "works", "states", "stated"
    )
)  # fmt: skip
SEEN = frozenset(
    (
        "seen", "noted", "identified", "found", "present", "detected", "appreciated", "heard",
        "observed", "evident", "demonstrated", "visualized", "visualised", "reported", "palpated",
        "palpable", "elicited", "shown"
    )
)  # fmt: skip
PATIENT = frozenset(("patient", "pt", "he", "she"))
"""From here on it is about the patient again."""
COMMAS = frozenset(",，")
COLONS = frozenset(":：")
ASKS = COLONS | frozenset("-–—")
NO = frozenset(("no", "none", "nil", "never", "denied", "denies", "negative", "neg", "absent"))
YES = frozenset(("yes", "positive", "present"))


def marks(tokens: Sequence[Token], taken: Sequence[bool]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of entities, which are never triggers. Linear in the tokens.
    """
    found = triggers.find(triggers.ENGLISH, tokens, taken)
    answers = _answers(tokens, taken)
    for place in answers:  # it says nothing of what follows
        found.pop(place, None)
    clauses = _clauses(tokens)
    result = [0] * len(tokens)
    _forward(tokens, found, clauses, result)
    _backward(tokens, found, clauses, result)
    for place, is_yes in answers.items():
        item = place - 2
        while item >= 0 and taken[item]:
            result[item] &= ~triggers.CERTAINTY
            result[item] |= 0 if is_yes else triggers.NEGATED
            item -= 1
    return result


def _answers(tokens: Sequence[Token], taken: Sequence[bool]) -> dict[int, bool]:
    """Return where an item of a check-list is answered, and whether with yes: "COPD: none"."""
    found: dict[int, bool] = {}
    for place in range(2, len(tokens)):
        word = tokens[place].key
        ends = place + 1 == len(tokens) or not tokens[place + 1].key.isalnum()
        if ends and taken[place - 2] and tokens[place - 1].key in ASKS and word in (NO | YES):
            found[place] = word in YES
    return found


def _clauses(tokens: Sequence[Token]) -> list[bool]:
    """Tell of each token whether a clause of its own begins right after it (a comma)."""
    result = [False] * len(tokens)
    own_verb = False
    for place in range(len(tokens) - 1, -1, -1):
        word = tokens[place].key
        if word in COMMAS:
            result[place] = own_verb
            own_verb = False
        elif word in VERBS:
            follows = {token.key for token in tokens[place + 1 : place + 3]}
            own_verb = own_verb or not (follows & SEEN)
    return result


def _forward(
    tokens: Sequence[Token],
    found: triggers.Matches,
    clauses: Sequence[bool],
    result: list[int],
) -> None:
    state, left, place = 0, 0, 0
    while place < len(tokens):
        match = found.get(place)
        if match:
            trigger = match.value
            if trigger.stops:
                state &= triggers.OTHER_PERSON
            if trigger.forward:
                state, left = triggers.joined(state, trigger.forward), trigger.reach
            place = match.last
            continue
        ends = clauses[place] or (tokens[place].key in COLONS and place + 1 < len(tokens))
        if ends and not (tokens[place].key in COLONS and _just_began(found, place)):
            state &= triggers.OTHER_PERSON
        if tokens[place].key in PATIENT:
            state &= ~triggers.OTHER_PERSON
        result[place] |= state
        if left:
            left -= 1
            if not left:
                state &= ~triggers.NEGATED
        place += 1


def _just_began(found: triggers.Matches, place: int) -> bool:
    return any(
        place - length in found and found[place - length].last == place for length in range(1, 5)
    )


def _backward(
    tokens: Sequence[Token],
    found: triggers.Matches,
    clauses: Sequence[bool],
    result: list[int],
) -> None:
    by_last = {match.last - 1: match for match in found.values()}
    state, place = 0, len(tokens) - 1
    passed = joined = False
    while place >= 0:
        match = by_last.get(place)
        word = tokens[place].key
        if match:
            trigger = match.value
            if trigger.stops or trigger.forward & triggers.CERTAINTY:
                state = 0
            if trigger.backward and (not trigger.forward or _closes(tokens, match)):
                state, passed, joined = triggers.joined(state, trigger.backward), False, False
            place = match.first - 1
            continue
        # "Cough, fever and chills were denied" is one list, "nodule, cancer to be excluded" is not.
        ends_list = word in COMMAS and passed and not joined
        if clauses[place] or word in COLONS or ends_list:
            state = 0
        elif word in VERBS and passed:
            state &= ~triggers.CERTAINTY
        joined = joined or word in ("and", "or")
        passed = passed or word not in VERBS
        result[place] = triggers.joined(result[place], state) if state else result[place]
        place -= 1


def _closes(tokens: Sequence[Token], match: triggers.Found) -> bool:
    """Tell whether nothing of its clause stands behind a trigger."""
    return match.last >= len(tokens) or not tokens[match.last].key.isalnum()
