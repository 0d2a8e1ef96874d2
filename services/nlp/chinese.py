"""Which characters of a Chinese sentence are denied, suspected, planned, over, or another's.

A word acts on the rest of its segment, the text between two commas: 否认A、B、C病史 denies all
three. It goes on over a comma only into a bare list (否认A，B，C病史), into examples (无不适，如A),
and, for a condition, to the end of the sentence (若A，可予B). A word that stands behind its object
(阴性, 待排, 可能) acts on the list right before it, where its item ends behind it. A segment that
names nothing may close the one before it (曾患A，已治愈).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.nlp import triggers
from services.nlp.tokens import Token
from services.nlp.triggers import (
    CERTAINTY,
    HISTORICAL,
    HYPOTHETICAL,
    IF,
    OTHER_PERSON,
    PLANNED,
    RESOLVED,
    UNCERTAIN,
    WEAK,
    Found,
)

COMMAS = frozenset(",:;。")
JOINS = frozenset("、及和与或并/")
EITHER = frozenset("或/")
BRACKETS = frozenset("()")
FILLERS = JOINS | BRACKETS | frozenset('等病史症状不适表现其他它任何体征以类的《》“”"')
"""What a bare list may hold besides its items."""
ENDINGS = BRACKETS | frozenset("?!.性大较了")
"""What may stand between a word behind its object and the end of the item."""
ASKS = frozenset(":(")
ANSWERS = ("无", "否", "否认", "没有", "未见", "未发现", "均无", "均否认")
EXAMPLES = ("如", "例如", "诸如", "包括", "包含", "譬如")
"""What begins a segment that goes on with what the one before it spoke of."""
THEN = ("改", "并", "再", "后", "同时", "随后", "继之", "加")
"""What begins a segment that goes on with a plan."""
TELLING = frozenset("嘱者属诉知儿认:")
"""Behind these a condition may begin within a segment (嘱如…)."""
ENDED = frozenset("已均现目完基全")
"""How a word begins that closes the segment before it: 已缓解, not the 缓解 of 休息后缓解."""
WORKUP = ("待", "查")
DISEASE_ENDS = frozenset("病症炎癌瘤征死塞核染竭形窄栓癜减亢毒化")
"""Of 心脏病待查 the disease is in doubt, of 发热待查 the cause."""
FAR = 1 << 30


def marks(tokens: Sequence[Token], taken: Sequence[int]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of mentions, which are never triggers. Linear in the tokens.
    """
    sentence = _Sentence(tokens, taken)
    carried = person = 0
    before = (0, 0)
    for first, last in sentence.segments():
        carried, person = sentence.forward(first, last, sentence.kept(carried, first, last), person)
        sentence.backward(first, last)
        if sentence.is_named(first, last):
            before = (first, last)
        elif last > first:
            sentence.close(before, first, last)
            before = (0, 0)
    sentence.answered()
    return sentence.result


class _Sentence:
    """A sentence while its segments [first, last) are marked one after the other."""

    def __init__(self, tokens: Sequence[Token], taken: Sequence[int]) -> None:
        self._keys = [token.key for token in tokens]
        self._taken = taken
        self._found = triggers.find(triggers.CHINESE, tokens, taken)
        self._by_last = {match.last - 1: match for match in self._found.values()}
        self.result = [0] * len(tokens)

    def segments(self) -> Iterator[tuple[int, int]]:
        """Yield the segments; a colon right behind a word that acts forward ends none (否认：A)."""
        first = 0
        for place in range(len(self._keys) + 1):
            if place < len(self._keys):
                if self._keys[place] not in COMMAS:
                    continue
                before = self._by_last.get(place - 1)
                if self._keys[place] == ":" and before and before.value.forward:
                    continue
            yield first, place
            first = place + 1

    def is_named(self, first: int, last: int) -> bool:
        """Tell whether a segment holds a mention."""
        return any(self._taken[first:last])

    def kept(self, carried: int, first: int, last: int) -> int:
        """Return what of the state at the end of a segment goes on in the next, [first, last)."""
        if not carried:
            return 0
        # A sentence has many segments, but no segment is looked at twice.
        if self._begins(EXAMPLES, first, last) or self._is_list(first, last):
            return carried
        kept = carried & (HYPOTHETICAL | IF) if carried & IF else 0
        return kept | (carried & PLANNED if self._begins(THEN, first, last) else 0)

    def _begins(self, words: Sequence[str], first: int, last: int) -> bool:
        start = "".join(self._keys[first : min(first + 2, last)])
        return start.startswith(tuple(words))

    def _is_list(self, first: int, last: int) -> bool:
        """Tell whether a segment holds mentions and what joins them, nothing else."""
        return self.is_named(first, last) and all(
            self._taken[place] or self._keys[place] in FILLERS for place in range(first, last)
        )

    def forward(self, first: int, last: int, state: int, person: int) -> tuple[int, int]:
        """Mark what follows each trigger; return what may go on: bits, and somebody else's."""
        place, reached, brief = first, bool(state), False
        while place < last:
            match = self._found.get(place)
            if match:
                trigger, place = match.value, match.last
                person = _person(person, trigger)
                state = _ended(state, trigger)
                bits = trigger.forward & ~OTHER_PERSON
                if bits and self._acts_forward(match, first, last):
                    state, brief, reached = triggers.joined(state, bits), bool(trigger.reach), False
                    # A word of reach 1 (不, 未) acts on what stands right behind it alone.
                    if brief and not self._is_taken(place, last):
                        state, brief = state & ~CERTAINTY, False
                continue
            self.result[place] |= state | person
            reached = reached or bool(self._taken[place])
            place += 1
            if brief and not self._is_taken(place, last):
                state, brief = state & ~CERTAINTY, False
        # 否认：A、B: the colon stands right behind the word.
        open_end = last - 1 in self._by_last and self._by_last[last - 1].first >= first
        lasting = state & PLANNED | (state & (HYPOTHETICAL | IF) if state & IF else 0)
        return (state if reached or open_end else lasting), person

    def _is_taken(self, place: int, last: int) -> bool:
        return place < last and bool(self._taken[place])

    def _acts_forward(self, match: Found, first: int, last: int) -> bool:
        trigger = match.value
        if trigger.begins and match.first > first and self._keys[match.first - 1] not in TELLING:
            return False
        return not self._acts_backward(match, last)

    def _acts_backward(self, match: Found, last: int) -> bool:
        """Tell whether a word that acts both ways stands at the end: then it acts backward."""
        colon = last < len(self._keys) and self._keys[last] == ":"
        rest = self._keys[match.last : last]
        return bool(match.value.backward) and not colon and all(each in ENDINGS for each in rest)

    def backward(self, first: int, last: int) -> None:
        """Mark the list right before each word that acts backward or behind."""
        state, left, at_end, reached, place = 0, FAR, True, False, last - 1
        while place >= first:
            match = self._by_last.get(place)
            if match:
                trigger = match.value
                bits = trigger.behind | (trigger.backward if at_end else 0)
                if bits:
                    state, left, reached = bits, trigger.back_reach or FAR, False
                elif not trigger.forward & HISTORICAL:
                    state = 0
                at_end = False
                place = match.first - 1
                continue
            key = self._keys[place]
            if (key, at_end) == (WORKUP[1], True) and self._is_workup(place, first):
                state, left, at_end, reached, place = UNCERTAIN, FAR, False, False, place - 2
                continue
            state, left, reached = self._step(place, state, left, reached)
            at_end = key in JOINS or key in BRACKETS or (at_end and key in ENDINGS)
            place -= 1

    def _step(self, place: int, state: int, left: int, reached: bool) -> tuple[int, int, bool]:
        """Mark a token that is none of a trigger; return what acts on those before it."""
        key = self._keys[place]
        if self._taken[place] and state:
            self.result[place] = triggers.joined(self.result[place], state)
            return state, left, True
        if key in JOINS:
            # A doubt reaches over 或 alone: in 结节、肺癌待排 the nodule is there. 肝炎病史及接触史
            # are the patient's and another's.
            ends = state & UNCERTAIN and key not in EITHER
            ends = ends or (state & OTHER_PERSON and key != "、")
            return (0 if ends else state), left, reached
        if reached and key not in FILLERS:
            return 0, left, reached
        if not reached and key not in FILLERS:
            left -= 1
        return (state if left > 0 else 0), left, reached

    def _is_workup(self, place: int, first: int) -> bool:
        item = place - 2
        return (
            item >= first
            and self._keys[place - 1] == WORKUP[0]
            and bool(self._taken[item])
            and self._keys[item] in DISEASE_ENDS
        )

    def close(self, before: tuple[int, int], first: int, last: int) -> None:
        """Mark the mentions of a segment that the next, which names nothing, says to be over."""
        bits = 0
        for place in range(first, last):
            match = self._found.get(place)
            if match:
                said = match.value.backward | match.value.behind
                over = said & HISTORICAL
                gone = said & RESOLVED if self._keys[place] in ENDED else 0
                bits |= over or gone
        if bits:
            for place in range(*before):
                open_end = not self.result[place] & (CERTAINTY | HYPOTHETICAL)
                if open_end and self._taken[place] == triggers.DISEASE:
                    self.result[place] |= bits

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


def _person(person: int, trigger: triggers.Trigger) -> int:
    if trigger.does & triggers.PATIENT:
        return 0
    return person | (trigger.forward & OTHER_PERSON)


def _ended(state: int, trigger: triggers.Trigger) -> int:
    """Return the state without what a word ends."""
    if trigger.does & triggers.NOW:
        return 0
    if trigger.does & triggers.STOP:
        state &= ~CERTAINTY
    if trigger.does & triggers.ONSET and state & WEAK:
        state &= ~(HISTORICAL | WEAK)
    if trigger.does & triggers.DONE:
        state &= ~PLANNED
    return state
