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
        "lives", "works", "states", "stated", "persists", "persisted", "worsens", "occurs",
        "occurred", "began", "underwent", "went", "came", "took", "gave", "goes", "comes", "gets",
        "got", "complains", "requires", "needs", "includes", "indicates", "suggests", "exhibits",
        "presents", "admits", "wants", "looks", "sounds", "measures", "weighs", "tolerates",
        "drinks", "smokes", "uses", "may", "might", "must", "am"
    )
)  # fmt: skip
AUXILIARIES = frozenset(("be", "been", "being", "also", "all", "both", "since", "now"))
"""What may stand between what is said of a thing and the verb: "has been ruled out"."""
PASSED_OVER = VERBS | AUXILIARIES
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
SOFT_REACH = 8
"""Tokens from a denial on within which "suggestive of" is part of it."""
BEGUN = frozenset(
    ("since", "began", "begun", "beginning", "started", "starting", "onset", "diagnosed")
)
"""A date beside these tells when something began, not that it is over."""
CLOSERS = frozenset(
    (
        "yesterday", "today", "now", "completely", "spontaneously", "on", "after", "with",
        "following", "by", "this", "last", "overnight", "quickly", "without", "at", "in", "as",
        "radiographically", "clinically", "again", "previously", "earlier", "before", "per"
    )
)  # fmt: skip
"""What may follow a word that closes its clause ("vomiting stopped yesterday")."""


def marks(tokens: Sequence[Token], taken: Sequence[int]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of mentions, which are never triggers. Linear in the tokens.
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


def _answers(tokens: Sequence[Token], taken: Sequence[int]) -> dict[int, bool]:
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
    tokens: Sequence[Token], found: triggers.Matches, clauses: Sequence[bool], result: list[int]
) -> None:
    state, left, place = 0, 0, 0
    began = lasting = 0
    """Where a denial began, 0 behind a comma; what the end of a clause leaves."""
    concedes = False
    """Within "although …" before the main clause, which its comma begins."""
    while place < len(tokens):
        word = tokens[place].key
        match = found.get(place)
        if match:
            trigger = match.value
            bits = 0 if trigger.begins and not _begins(tokens, place) else trigger.forward
            near = 0 < place + 1 - began <= SOFT_REACH
            if not (trigger.soft and state & triggers.NEGATED and began and near):
                state = _ended(state, trigger)
                if bits:
                    state, left = triggers.joined(state, bits), trigger.reach
                    began = place + 1 if bits & triggers.NEGATED else began
                if bits & triggers.IF and (place == 0 or tokens[place - 1].key in COMMAS):
                    lasting = triggers.IF | triggers.HYPOTHETICAL
            concedes = concedes or (place == 0 and bool(trigger.does & triggers.TURN))
            place = match.last
            continue
        began = 0 if word in COMMAS else began
        ends = (
            clauses[place]
            or (concedes and word in COMMAS)
            or (word in COLONS and place + 1 < len(tokens))
        )
        if ends and not (word in COLONS and _just_began(found, place)):
            state, concedes = state & (triggers.OTHER_PERSON | lasting), False
        if word in PATIENT:
            state &= ~triggers.OTHER_PERSON
        result[place] |= state
        if left:
            left -= 1
            if not left:
                state &= ~triggers.NEGATED
        place += 1


def _begins(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a token begins its sentence, but for a bullet, a number or "Plan:"."""
    return all(not token.key.isalpha() or token.key == "plan" for token in tokens[:place][:6])


def _ended(state: int, trigger: triggers.Trigger) -> int:
    """Return the state without what a word ends."""
    does = trigger.does
    if does & triggers.TURN:
        return state & triggers.OTHER_PERSON
    if does & triggers.STOP:
        condition = triggers.IF | triggers.HYPOTHETICAL if state & triggers.IF else 0
        state &= triggers.OTHER_PERSON | condition
    if does & triggers.DONE:
        state &= ~triggers.PLANNED
    if does & triggers.PATIENT:
        state &= ~triggers.OTHER_PERSON
    return state


def _just_began(found: triggers.Matches, place: int) -> bool:
    return any(
        place - length in found and found[place - length].last == place for length in range(1, 5)
    )


def _backward(
    tokens: Sequence[Token], found: triggers.Matches, clauses: Sequence[bool], result: list[int]
) -> None:
    by_last = {match.last - 1: match for match in found.values()}
    has_begun = any(token.key in BEGUN for token in tokens)
    state, place = 0, len(tokens) - 1
    passed = joined = False
    while place >= 0:
        match = by_last.get(place)
        word = tokens[place].key
        if match:
            trigger = match.value
            bits = 0 if trigger.backward & triggers.WEAK and has_begun else trigger.backward
            turns = trigger.does & (triggers.STOP | triggers.TURN)
            if turns or trigger.forward & (triggers.CERTAINTY | triggers.HYPOTHETICAL):
                state = 0
            if trigger.forward and not _closes(tokens, match):
                bits = 0
            if bits := bits | trigger.behind:
                state, passed, joined = triggers.joined(state, bits), False, False
            place = match.first - 1
            continue
        # "Cough, fever and chills were denied" is one list, "nodule, cancer to be excluded" is not.
        ends_list = word in COMMAS and passed and not joined
        if clauses[place] or word in COLONS or ends_list:
            state = 0
        elif word in VERBS and passed:
            state &= ~(triggers.CERTAINTY | triggers.HYPOTHETICAL | triggers.PLANNED)
        joined = joined or word in ("and", "or")
        passed = passed or word not in PASSED_OVER
        result[place] = triggers.joined(result[place], state) if state else result[place]
        place -= 1


def _closes(tokens: Sequence[Token], match: triggers.Found) -> bool:
    """Tell whether nothing of its clause stands behind a trigger."""
    after = tokens[match.last].key if match.last < len(tokens) else ""
    return not after.isalnum() or after in CLOSERS
