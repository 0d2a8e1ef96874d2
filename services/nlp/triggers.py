"""The words of `triggers_en.tsv` and `triggers_zh.tsv` in a sentence, the longest at each place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.phrases import Keys, Match, Phrases, keys
from services.nlp.tokens import Token

(NEGATED, RESOLVED, UNCERTAIN, HYPOTHETICAL, HISTORICAL, OTHER_PERSON, PLANNED, CARRIED_OUT) = (
    1 << bit for bit in range(8)
)
"""Bits of what context says of a token. What was carried out is not planned any more."""
IF, WEAK, NEAR, LISTED, OF_DISEASE, OWN = (1 << bit for bit in range(8, 14))
"""Its condition holds over clauses; what makes it historical is a date alone; a comma ends the
denial; the other person is nobody but a list's ("family history of"); the doubt is of a disease,
not of a complaint; it is expressly the patient's."""
CERTAINTY = NEGATED | RESOLVED | UNCERTAIN
"""Of these the nearest counts."""
BITS = {
    "negated": NEGATED,
    "resolved": RESOLVED,
    "uncertain": UNCERTAIN,
    "conditional": HYPOTHETICAL,
    "planned": PLANNED,
    "advised": HYPOTHETICAL,
    "workup": UNCERTAIN | OF_DISEASE,
    "historical": HISTORICAL,
    "past_time": HISTORICAL | WEAK,
    "other_person": OTHER_PERSON,
    "family": OTHER_PERSON | LISTED,
    "done": CARRIED_OUT,
}
(STOP, TURN, NOW, ONSET, DONE, PATIENT, SAYS, WITH) = (1 << bit for bit in range(8))
"""Bits of what else a word does."""
(ADVICE, ADVISED, AGAIN, GOES_ON, FRAME, DIED, RECENT, CONTACT, TAKEN, SELF, REASON) = (
    1 << bit for bit in range(8, 19)
)
DOES = {
    "stop": STOP,
    "turn": TURN,
    "now": NOW,
    "onset": ONSET,
    "done": DONE,
    "patient": PATIENT,
    "says": SAYS,
    "with": WITH,
    "advice": ADVICE,
    "advised": ADVISED,
    "again": AGAIN,
    "goes_on": GOES_ON,
    "frame": FRAME,
    "died": DIED,
    "recent": RECENT,
    "contact": CONTACT,
    "taken": TAKEN,
    "self": SELF | PATIENT,
    "reason": REASON,
}
ALONE = SAYS | WITH | CONTACT
"""These only tell whether a relative is spoken of."""
DISEASE, ACT, COMPLAINT, MEASURED, FIRST = 1, 2, 4, 8, 16
"""What a token of a mention belongs to: what one has, or what is done or given; what one complains
of; what is told as a measure; the first token of its mention. 0: to none."""
FAR_OR_NEAR = {"sentence": IF, "segment": NEAR}
GROUP = re.compile(r"\{([^}]*)\}")
YEAR = re.compile(r"(?:19|20)[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a phrase does: `forward` to what follows it, `backward` and `behind` to what precedes.

    `backward` holds where the phrase ends its item, `behind` anywhere.
    """

    forward: int = 0
    backward: int = 0
    behind: int = 0
    reach: int = 0
    """Tokens it reaches forward at most; 0: to the end of its clause."""
    back_reach: int = 0
    """Tokens that may stand between it and what precedes; 0: any number."""
    does: int = 0
    """`DOES` bits."""
    soft: bool = False
    """It leaves a denial right before it as it is ("no findings suggestive of")."""
    begins: bool = False
    """It acts only where a clause begins with it."""

    @property
    def is_idle(self) -> bool:
        """Only tells whether a relative is an informant."""
        acts = self.forward | self.backward | self.behind
        return not acts and bool(self.does) and not self.does & ~ALONE


Found = Match[Trigger]
Matches = dict[int, Found]
"""Triggers by their first token."""


def _load(language: str) -> Phrases[Trigger]:
    groups: dict[str, list[Keys]] = {}
    found: Phrases[Trigger] = Phrases()
    for row in tables.rows(f"triggers_{language}"):
        if row["kind"] == "group":
            groups[row["way"]] = [keys(each) for each in row["phrase"].split("|")]
            continue
        found.add(_choices(row["phrase"], groups), _of_row(row), _joined)
    return found


def _choices(phrase: str, groups: Mapping[str, list[Keys]]) -> list[list[Keys]]:
    """Return the pieces of a phrase, each with what `{a|b|}` or the name of a group stands for."""
    return [
        groups.get(piece) or [keys(each) for each in piece.split("|")]
        for number, piece in enumerate(GROUP.split(phrase))
        if piece or number % 2
    ]


def _of_row(row: Mapping[str, str]) -> Trigger:
    bits, way, reach = BITS.get(row["kind"], 0), row["way"], row["reach"]
    number = int(reach) if reach.isdigit() else 0
    onward = way in ("forward", "start")
    return Trigger(
        forward=(bits | FAR_OR_NEAR.get(reach, 0)) if onward else 0,
        backward=bits if way == "backward" else 0,
        behind=bits if way == "behind" else 0,
        reach=number if onward else 0,
        back_reach=0 if onward else number,
        does=DOES.get(row["kind"], 0) if way != "behind" or row["kind"] == "advised" else 0,
        soft=reach == "soft",
        begins=way == "start",
    )


def _joined(one: Trigger, other: Trigger) -> Trigger:
    return Trigger(
        one.forward | other.forward,
        one.backward | other.backward,
        one.behind | other.behind,
        one.reach or other.reach,
        one.back_reach or other.back_reach,
        one.does | other.does,
        one.soft or other.soft,
        one.begins or other.begins,
    )


ENGLISH, CHINESE = _load("en"), _load("zh")


def find(phrases: Phrases[Trigger], tokens: Sequence[Token], taken: Sequence[int]) -> Matches:
    """Return the triggers by their first token; none reaches into a taken token.

    A relative who tells of the patient, or is only with him, is none.
    """
    matches = phrases.find_keys(
        ["" if is_taken else _key(token.key) for token, is_taken in zip(tokens, taken, strict=True)]
    )
    result: Matches = {}
    for number, match in enumerate(matches):
        if match.value.is_idle:
            continue
        if match.value.forward & OTHER_PERSON:
            before = matches[number - 1] if number else None
            after = matches[number + 1] if number + 1 < len(matches) else None
            if not _is_spoken_of(before, match, after):
                continue
        result[match.first] = match
    return result


def _is_spoken_of(before: Found | None, kin: Found, after: Found | None) -> bool:
    """Tell whether a relative is neither an informant nor only with the patient."""
    says = after.value.does if after and after.first == kin.last else 0
    beside = before.value.does if before and before.last == kin.first else 0
    if beside & CONTACT:  # "lives with her daughter, who has asthma"
        return bool(says & CONTACT)
    return not (beside & WITH or says & SAYS)


def _key(key: str) -> str:
    """Return what a token is compared by: # for a number, @ for a year."""
    if not key.isdigit():
        return key
    return "@" if YEAR.fullmatch(key) else "#"


def joined(state: int, bits: int) -> int:
    """Return the bits of a token with new ones: of `CERTAINTY` only the latest hold.

    A denial ends what is only to be watched for ("monitor for bleeding, no fever"), not what
    stands under a condition ("if there is no fever").
    """
    if bits & CERTAINTY:
        state &= ~CERTAINTY
    if bits & NEGATED and not state & IF:
        state &= ~HYPOTHETICAL
    return state | bits
