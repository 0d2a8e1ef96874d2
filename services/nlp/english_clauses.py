"""Where the clauses of an English sentence begin, and which item of a check-list says no."""

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
        "drinks", "smokes", "uses", "may", "might", "must", "am", "continued", "worsened"
    )
)  # fmt: skip
SEEN = frozenset(
    (
        "seen", "noted", "identified", "found", "present", "detected", "appreciated", "heard",
        "observed", "evident", "demonstrated", "visualized", "visualised", "reported", "palpated",
        "palpable", "elicited", "shown"
    )
)  # fmt: skip
COMMAS = frozenset(",，")
COLONS = frozenset(":：")
ASKS = COLONS | {"-"}
NO = frozenset(("no", "none", "nil", "never", "denied", "denies", "negative", "neg", "absent"))
YES = frozenset(("yes", "positive", "present"))
ANSWERS = NO | YES
DESCRIBED = frozenset(
    (
        "small", "mild", "moderate", "large", "new", "left", "right", "bilateral", "a", "an",
        "tiny", "minimal", "trace", "persistent", "increased", "increasing", "severe", "stable",
        "unchanged", "worsening", "interval", "multiple", "several", "bibasilar", "only", "now"
    )
)  # fmt: skip
"""What a finding that is there begins with, behind a comma ("no mass, small effusion")."""
LASTING = frozenset(
    (
        "since", "stable", "unchanged", "worse", "worsening", "worsened", "improving", "improved",
        "uncontrolled", "persisting", "ongoing"
    )
)  # fmt: skip
"""What is told of a finding that is there."""
TIMES = frozenset(
    (
        "hour", "hours", "day", "days", "week", "weeks", "month", "months", "year", "years",
        "night", "nights"
    )
)  # fmt: skip
STOPS = frozenset((*COMMAS, ".", ";", "and", "or", "with", "who", "which"))
ENOUGH = frozenset(("or", "nor", "any"))


def clauses(tokens: Sequence[Token]) -> list[bool]:
    """Tell of each token whether a clause of its own begins right after it (a comma)."""
    result = [False] * len(tokens)
    if not _has_comma(tokens):
        return result
    own_verb = False
    for place in range(len(tokens) - 1, -1, -1):
        word = tokens[place].key
        if word in COMMAS:
            after = tokens[place + 1].key if place + 1 < len(tokens) else ""
            result[place] = own_verb and after not in ENOUGH  # "denies cough, any pain that is …"
            own_verb = False
        elif word in VERBS:
            follows = {token.key for token in tokens[place + 1 : place + 3]}
            own_verb = own_verb or not (follows & SEEN)
    return result


def findings(tokens: Sequence[Token], taken: Sequence[int]) -> list[bool]:
    """Tell of each token whether a finding that is there begins right after it (a comma).

    Not where "or" follows in the list: "no fever, mild cough or dyspnea" denies all three.
    """
    result = [False] * len(tokens)
    if not _has_comma(tokens):
        return result
    listed = is_there = False
    for place in range(len(tokens) - 1, -1, -1):
        word = tokens[place].key
        if word in COMMAS:
            after = tokens[place + 1].key if place + 1 < len(tokens) else ""
            result[place] = not listed and (is_there or after in DESCRIBED)
            is_there = False
        elif word in VERBS or word == "but":
            listed = False
        elif word in ENOUGH:
            listed = True
        is_there = is_there or word in LASTING or bool(taken[place] & triggers.MEASURED)
        is_there = is_there or (word == "for" and _is_time(tokens, place + 1))
    return result


def _has_comma(tokens: Sequence[Token]) -> bool:
    return any(token.key in COMMAS for token in tokens)


def _is_time(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a length of time stands here: "3 days", "the past two weeks"."""
    return any(token.key in TIMES for token in tokens[place : place + 5])


def lasts(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether what precedes a token is told as going on ("… for years", "progressively")."""
    for each in range(place, min(place + 8, len(tokens))):
        word = tokens[each].key
        if word in STOPS:
            return False
        if word in LASTING or word == "progressively":
            return True
        if word == "for" and any(token.key in TIMES for token in tokens[each + 1 : each + 4]):
            return True
    return False


def answers(tokens: Sequence[Token], taken: Sequence[int]) -> dict[int, bool]:
    """Return where an item of a check-list is answered, and whether with yes: "COPD: none"."""
    found: dict[int, bool] = {}
    for place in range(2, len(tokens)):
        word = tokens[place].key
        if word not in ANSWERS or not taken[place - 2] or tokens[place - 1].key not in ASKS:
            continue
        if place + 1 == len(tokens) or not tokens[place + 1].key.isalnum():
            found[place] = word in YES
    return found


def signs(tokens: Sequence[Token], taken: Sequence[int]) -> dict[int, bool]:
    """Return where a sign stands before an item, and whether it is a plus: "+ cough, - fever".

    A dash is a sign only beside a plus: alone it is a bullet.
    """
    found = {
        place: tokens[place].key == "+"
        for place in range(len(tokens) - 1)
        if tokens[place].key in "+-"
        and taken[place + 1] & triggers.FIRST
        and (place == 0 or not tokens[place - 1].key.isalnum())
    }
    return found if any(found.values()) else {}
