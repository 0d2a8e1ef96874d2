"""Which characters of a Chinese sentence are denied, suspected, over or about somebody else.

A word acts on the rest of its segment, the text between two commas: 否认A、B、C病史 denies all
three. It goes on over a comma only into a bare list (否认A，B，C病史). A word that stands behind
its object (阴性, 待排, 可能) acts on the list right before it, where its item ends behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.nlp import triggers
from services.nlp.tokens import Token

COMMAS = frozenset(",:;。")
JOINS = frozenset("、及和与或并/")
EITHER = frozenset("或/")
BRACKETS = frozenset("()")
FILLERS = JOINS | BRACKETS | frozenset('等病史症状不适表现其他它任何体征以类的《》“”"')
"""What a bare list may hold besides its items."""
ENDINGS = BRACKETS | frozenset("?!.性大较")
"""What may stand between a word behind its object and the end of the item."""
ASKS = frozenset(":(")
ANSWERS = ("无", "否", "否认", "没有", "未见", "未发现", "均无", "均否认")
PATIENT = (("患", "者"), ("本", "人"))
"""From here on it is about the patient again."""


def marks(tokens: Sequence[Token], taken: Sequence[bool]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of entities, which are never triggers. Linear in the tokens.
    """
    sentence = _Sentence(tokens, taken)
    carried = person = first = 0
    for place in range(len(tokens) + 1):
        if place < len(tokens) and tokens[place].key not in COMMAS:
            continue
        carried = carried if sentence.is_list(first, place) else 0
        carried, person = sentence.forward(first, place, carried, person)
        sentence.backward(first, place)
        first = place + 1
    sentence.answered()
    return sentence.result


class _Sentence:
    """A sentence while its segments [first, last) are marked one after the other."""

    def __init__(self, tokens: Sequence[Token], taken: Sequence[bool]) -> None:
        self._keys = [token.key for token in tokens]
        self._taken = taken
        self._found = triggers.find(triggers.CHINESE, tokens, taken)
        self._by_last = {match.last - 1: match for match in self._found.values()}
        self.result = [0] * len(tokens)

    def is_list(self, first: int, last: int) -> bool:
        """Tell whether a segment holds entities and what joins them, nothing else."""
        return any(self._taken[first:last]) and all(
            self._taken[place] or self._keys[place] in FILLERS for place in range(first, last)
        )

    def forward(self, first: int, last: int, state: int, person: int) -> tuple[int, int]:
        """Mark what follows each trigger; return what may go on: bits, and somebody else's."""
        place, reached, brief = first, bool(state), False
        while place < last:
            match = self._found.get(place)
            if match:
                trigger, place = match.value, match.last
                person |= trigger.forward & triggers.OTHER_PERSON
                bits = trigger.forward & ~triggers.OTHER_PERSON
                if trigger.stops:
                    state = 0
                if bits and not self._acts_backward(match, last):
                    state, brief, reached = triggers.joined(state, bits), bool(trigger.reach), False
                    # A word of reach 1 (不, 未) acts on what stands right behind it alone.
                    if brief and not self._is_taken(place, last):
                        state, brief = 0, False
                continue
            if tuple(self._keys[place : place + 2]) in PATIENT:
                person = 0
            self.result[place] |= state | person
            reached = reached or self._taken[place]
            place += 1
            if brief and not self._is_taken(place, last):
                state, brief = 0, False
        # 否认：A、B: the colon stands right behind the word.
        open_end = last - 1 in self._by_last and self._by_last[last - 1].first >= first
        return (state if reached or open_end else 0), person

    def answered(self) -> None:
        """Mark the items of a check-list that are answered in the negative: 糖尿病史：否认."""
        for place, key in enumerate(self._keys):
            if key not in ASKS or not self._is_denial(place + 1):
                continue
            item = place - 1
            while item >= 0 and not self._taken[item] and self._keys[item] in "病史":
                item -= 1
            while item >= 0 and self._taken[item]:
                self.result[item] = triggers.joined(self.result[item], triggers.NEGATED)
                item -= 1

    def _is_denial(self, place: int) -> bool:
        """Tell whether one of the answers, and nothing else of its segment, stands here."""
        for answer in ANSWERS:
            end = place + len(answer)
            ended = end >= len(self._keys) or self._keys[end] in COMMAS | BRACKETS
            if ended and "".join(self._keys[place:end]) == answer:
                return True
        return False

    def _is_taken(self, place: int, last: int) -> bool:
        return place < last and self._taken[place]

    def _acts_backward(self, match: triggers.Found, last: int) -> bool:
        """Tell whether a word that acts both ways stands at the end: then it acts backward."""
        colon = last < len(self._keys) and self._keys[last] == ":"
        rest = self._keys[match.last : last]
        return bool(match.value.backward) and not colon and all(each in ENDINGS for each in rest)

    def backward(self, first: int, last: int) -> None:
        """Mark the list right before each word that acts backward and ends its item."""
        state, at_end, reached, place = 0, True, False, last - 1
        while place >= first:
            match = self._by_last.get(place)
            if match:
                state = match.value.backward if at_end else 0
                at_end = reached = False
                place = match.first - 1
                continue
            key = self._keys[place]
            if self._taken[place] and state:
                self.result[place] = triggers.joined(self.result[place], state)
                reached = True
            elif key in JOINS:
                # A doubt reaches over 或 alone: in 结节、肺癌待排 the nodule is there.
                state = state if key in EITHER or not state & triggers.UNCERTAIN else 0
            elif reached and key not in FILLERS:
                state = 0
            at_end = key in JOINS or key in BRACKETS or (at_end and key in ENDINGS)
            place -= 1
