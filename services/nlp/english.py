"""Which tokens of an English sentence are denied, suspected, over or about somebody else.

After ConText: a trigger acts on what follows or precedes it, up to a word that stops it or to
a new clause. A comma begins a new clause where a finite verb follows before the next comma, and
ends a denial where what follows is told as a finding ("no mass, small effusion").

Source: Harkema et al., J Biomed Inform 2009;42:839 (the algorithm; the tables are ours).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.nlp import english_clauses, triggers
from services.nlp.english_clauses import COLONS, COMMAS, VERBS
from services.nlp.tokens import Token
from services.nlp.triggers import (
    ACT,
    CERTAINTY,
    HISTORICAL,
    HYPOTHETICAL,
    IF,
    LISTED,
    NEGATED,
    OTHER_PERSON,
    OWN,
    PLANNED,
    RESOLVED,
    WEAK,
    Found,
)

AUXILIARIES = frozenset(("be", "been", "being", "also", "all", "both", "since", "now"))
"""What may stand between what is said of a thing and the verb: "has been ruled out"."""
PASSED_OVER = VERBS | AUXILIARIES
PATIENT = frozenset(("patient", "pt", "he", "she"))
"""From here on it is about the patient again."""
SOFT_REACH = 8
"""Tokens from a denial on within which "suggestive of" is part of it."""
KNOWN = frozenset(("the", "this", "that", "these", "those", "his", "her", "their", "my", "your"))
SUBJECTS = frozenset(("his", "her", "he", "she", "patient", "pt", "i", "we", "my"))
"""Right behind a mention one of these begins what a dictation has no full stop before."""
TURNS = frozenset(("with", "for", "because", "why", "what", "when", "how", "about", "if", "until"))
"""A bare "not" denies nothing behind these: "cannot bear the pain", "not sleeping with pain"."""
BEGUN = frozenset(
    ("since", "began", "begun", "beginning", "started", "starting", "onset", "diagnosed")
)
"""A date beside these tells when something began, not that it is over."""
CLOSERS = frozenset(
    (
        "yesterday", "today", "now", "completely", "spontaneously", "on", "after", "with",
        "following", "by", "this", "last", "overnight", "quickly", "without", "at", "in", "as",
        "radiographically", "clinically", "again", "previously", "earlier", "before", "per",
        "and", "but", "or", "given", "because", "while", "when", "which", "however", "upon",
        "within", "over", "via", "throughout", "bilaterally", "from", "based", "so", "then",
        "since", "although", "though", "during", "to", "secondary", "due", "there", "where"
    )
)  # fmt: skip
"""What may follow a word that closes its clause ("vomiting stopped yesterday")."""
WOMEN = frozenset(
    ("mother", "mom", "mum", "sister", "daughter", "aunt", "grandmother", "niece", "wife")
)
MEN = frozenset(
    ("father", "dad", "brother", "son", "uncle", "grandfather", "nephew", "husband", "grandson")
)
POSSESSIVES = {"she": "her", "he": "his"}


def marks(tokens: Sequence[Token], taken: Sequence[int]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of mentions, which are never triggers. Linear in the tokens.
    """
    found = triggers.find(triggers.ENGLISH, tokens, taken)
    answers = english_clauses.answers(tokens, taken)
    signs = english_clauses.signs(tokens, taken)
    for place in (*answers, *signs):  # it says nothing of what else follows
        found.pop(place, None)
    clauses = english_clauses.clauses(tokens)
    there = english_clauses.findings(tokens, taken)
    result = _Forward(tokens, taken, found).marks(clauses, there)
    if any(match.value.backward or match.value.behind for match in found.values()):
        _backward(tokens, found, clauses, there, result)
    for place, kind in enumerate(taken):
        if not kind or not result[place] & HISTORICAL:
            continue
        ends = place + 1 == len(taken) or not taken[place + 1]
        if ends and english_clauses.lasts(tokens, place + 1):
            _go_on(taken, result, place)
    for place, is_yes in answers.items():
        item = place - 2
        while item >= 0 and taken[item]:
            result[item] = result[item] & ~CERTAINTY | (0 if is_yes else NEGATED)
            item -= 1
    for place, is_plus in signs.items():
        item = place + 1
        while item < len(tokens) and taken[item]:
            result[item] = result[item] & ~CERTAINTY | (0 if is_plus else NEGATED)
            item += 1
    return result


def _go_on(taken: Sequence[int], result: list[int], place: int) -> None:
    """Take back that the mention that ends at a token is over."""
    while place >= 0 and taken[place]:
        result[place] &= ~(HISTORICAL | WEAK)
        place -= 1


class _Forward:
    """Marks what follows each trigger."""

    def __init__(
        self, tokens: Sequence[Token], taken: Sequence[int], found: triggers.Matches
    ) -> None:
        self._keys = [token.key for token in tokens]
        self._taken = taken
        self._found = found
        self._state = self._left = self._passing = 0
        self._began = self._lasting = self._own = 0
        """Where a denial began, 0 behind a comma; what the end of a clause leaves."""
        self._concedes = False
        """Within "although …" before the main clause, which its comma begins."""
        self._reached = self._is_named = False
        """A mention stands behind the last trigger; in this clause."""
        self._kin, self._possessive = "", ""

    def marks(self, clauses: Sequence[bool], there: Sequence[bool]) -> list[int]:
        """Return the bits of each token, but for what stands behind it."""
        result = [0] * len(self._keys)
        place = 0
        before: list[int] = []  # what was said before each open bracket holds again behind it
        while place < len(self._keys):
            match = self._found.get(place)
            if match:
                self._trigger(match)
                place = match.last
                continue
            if self._keys[place] == "(":
                before.append(self._state)
            elif self._keys[place] == ")" and before:
                self._state = before.pop()
            self._pass(place, ends=clauses[place], is_finding=there[place])
            result[place] |= self._state | self._own
            if self._taken[place]:
                self._reached = self._is_named = True
            if self._left:
                self._left -= 1
                if not self._left:
                    self._state &= ~self._passing
            place += 1
        return result

    def _trigger(self, match: Found) -> None:
        trigger, place = match.value, match.first
        bits = 0 if trigger.begins and not self._begins(place) else trigger.forward
        if trigger.backward & CERTAINTY and self._is_named and _closes(self._keys, match):
            bits &= ~CERTAINTY  # "fever resolved, cough worse"
        near = 0 < place + 1 - self._began <= SOFT_REACH
        if not (trigger.soft and self._state & NEGATED and self._began and near):
            self._end(match)
            if bits:
                self._state, self._left = triggers.joined(self._state, bits), trigger.reach
                self._passing = bits & (NEGATED | HISTORICAL) if trigger.reach else 0
                self._began = place + 1 if bits & NEGATED else self._began
                self._reached = False
            if bits & OTHER_PERSON:
                words = self._keys[match.first : match.last]
                self._kin = next((word for word in words if word in WOMEN | MEN), "")
                self._possessive = self._keys[place - 1] if place else ""
            if bits & IF and (place == 0 or self._keys[place - 1] in COMMAS):
                self._lasting = IF | HYPOTHETICAL
        self._concedes = self._concedes or (place == 0 and bool(trigger.does & triggers.TURN))

    def _end(self, match: Found) -> None:
        """Take from the state what a trigger ends."""
        does = match.value.does
        state = self._state
        if does & triggers.SELF:
            self._own = OWN
        if does & triggers.TURN:
            state &= OTHER_PERSON
        if does & triggers.STOP:
            condition = IF | HYPOTHETICAL if state & IF else 0
            listed = state & LISTED and self._reached
            state &= condition if listed else (OTHER_PERSON | LISTED | condition)
        if does & triggers.DONE:
            state &= ~PLANNED
        if does & triggers.REASON:
            state &= ~(HISTORICAL | PLANNED)
        words = self._keys[match.first : match.last]
        if does & triggers.PATIENT and not any(map(self._is_relative, words)):
            state &= ~(OTHER_PERSON | LISTED)
        self._state = state

    def _is_relative(self, word: str) -> bool:
        """Tell whether "she" is the mother just spoken of, not "her", the patient."""
        same = (word == "she" and self._kin in WOMEN) or (word == "he" and self._kin in MEN)
        return same and self._possessive != POSSESSIVES[word]

    def _pass(self, place: int, *, ends: bool, is_finding: bool) -> None:
        """Take from the state what a word that is no trigger ends."""
        word = self._keys[place]
        if word in COMMAS:
            self._began, self._is_named = 0, False
        ends = ends or (self._concedes and word in COMMAS)
        ends = ends or (word in COLONS and place + 1 < len(self._keys))
        if ends and not (word in COLONS and self._just_began(place)):
            self._state &= OTHER_PERSON | LISTED | self._lasting
            self._concedes = self._is_named = False
        if is_finding and not self._just_began(place):
            self._state &= ~(NEGATED | RESOLVED | HISTORICAL | WEAK)
        if word == "with" and self._reached:
            self._state &= ~(NEGATED | RESOLVED | HISTORICAL)
        if word == "for" and self._reached and self._taken[place - 1] & ACT:
            self._state &= ~NEGATED
        if word == "on" and self._taken[place + 1 : place + 2] and self._taken[place + 1] & ACT:
            self._state &= ~(HISTORICAL | WEAK)  # "s/p mastectomy 2019 on tamoxifen"
        if word in SUBJECTS and self._reached and self._taken[place - 1]:
            self._state &= ~NEGATED  # "no murmurs his creatinine is up", without a stop
        if self._left and word in KNOWN | TURNS:
            self._state &= ~(self._passing & NEGATED)
        if word in PATIENT and not self._is_relative(word):
            self._state &= ~(OTHER_PERSON | LISTED)

    def _begins(self, place: int) -> bool:
        """Tell whether a token begins its sentence, but for a bullet, a number or "Plan:"."""
        before = self._keys[: min(place, 6)]
        return all(not key.isalpha() or key == "plan" for key in before)

    def _just_began(self, place: int) -> bool:
        return any(
            place - length in self._found and self._found[place - length].last == place
            for length in range(1, 5)
        )


def _backward(
    tokens: Sequence[Token],
    found: triggers.Matches,
    clauses: Sequence[bool],
    there: Sequence[bool],
    result: list[int],
) -> None:
    by_last = {match.last - 1: match for match in found.values()}
    keys = [token.key for token in tokens]
    has_begun = not BEGUN.isdisjoint(keys)
    state, place = 0, len(tokens) - 1
    passed = joined = False
    while place >= 0:
        match = by_last.get(place)
        word = keys[place]
        if match:
            trigger = match.value
            bits = 0 if trigger.backward & WEAK and has_begun else trigger.backward
            turns = trigger.does & (triggers.STOP | triggers.TURN)
            if turns or trigger.forward & (CERTAINTY | HYPOTHETICAL):
                state = 0
            if (trigger.forward or bits & CERTAINTY) and not _closes(keys, match):
                bits = 0
            if bits := bits | trigger.behind:
                state, passed, joined = triggers.joined(state, bits), False, False
            place = match.first - 1
            continue
        # "Cough, fever and chills were denied" is one list, "nodule, cancer to be excluded" is not.
        ends_list = word in COMMAS and passed and not joined
        if clauses[place] or word in COLONS or ends_list or _is_once(keys, place):
            state = 0
        elif word == "for" and passed:
            state &= ~HYPOTHETICAL  # "heparin for DVT prophylaxis" is given
        elif there[place]:
            state &= ~(NEGATED | RESOLVED)
        elif word in VERBS and passed:
            state &= ~(CERTAINTY | HYPOTHETICAL | PLANNED)
        joined = joined or word in ("and", "or")
        passed = passed or word not in PASSED_OVER
        result[place] = triggers.joined(result[place], state) if state else result[place]
        place -= 1


def _is_once(keys: Sequence[str], place: int) -> bool:
    """Tell whether "once" begins a clause here ("stopped once cultures were negative")."""
    after = keys[place + 1] if place + 1 < len(keys) else ""
    return keys[place] == "once" and after not in ("daily", "a", "per", "every", "or", "weekly")


def _closes(keys: Sequence[str], match: Found) -> bool:
    """Tell whether nothing of its clause stands behind a trigger."""
    after = keys[match.last] if match.last < len(keys) else ""
    shortened = after == "d" and keys[match.last + 1 : match.last + 2] == ["/"]  # d/t: due to
    return not after.isalnum() or after in CLOSERS or shortened
