"""Which characters of a Chinese sentence are denied, suspected, planned, over, or another's.

A word acts on the rest of its segment, the text between two commas: 否认A、B、C病史 denies all
three. It goes on over a comma only from a bare list into a bare list (否认A，B，C病史), into
examples (无不适，如A), and, for a condition, to the end of the sentence (若A，可予B). A word that
stands behind its object (阴性, 待排, 可能) acts on the list right before it, where its item ends
behind it. A segment that names nothing may close the one before it (曾患A，已治愈).

Somebody else is spoken of until the patient is, until a segment begins with a recent time (近3天),
and where the relative only explains what the patient has, until 后 (因母亲去世后失眠).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.nlp import behind, triggers
from services.nlp.clauses import ENDINGS, FILLERS, JOINS, Sentence
from services.nlp.tokens import Token
from services.nlp.triggers import (
    ADVISED,
    CERTAINTY,
    COMPLAINT,
    DIED,
    DONE,
    FRAME,
    GOES_ON,
    HISTORICAL,
    HYPOTHETICAL,
    IF,
    MEASURED,
    NEAR,
    NEGATED,
    NOW,
    ONSET,
    OTHER_PERSON,
    OWN,
    PATIENT,
    PLANNED,
    RECENT,
    SELF,
    STOP,
    UNCERTAIN,
    WEAK,
    Found,
)

EXAMPLES = ("如", "例如", "诸如", "包括", "包含", "譬如")
"""What begins a segment that goes on with what the one before it spoke of."""
THEN = ("改", "并", "再", "后", "同时", "随后", "继之", "加")
"""What begins a segment that goes on with a plan."""
TELLING = frozenset("嘱者属诉知儿认:")
"""Behind these a condition may begin within a segment (嘱如…)."""
LIKE, LIKENESS, LIKENESS_TOKENS = frozenset("如似"), frozenset("样状般"), 7
"""如柏油样, 似感冒样: it is likened, neither a condition nor in doubt."""
HAVING = ("有", "患", "患有", "存在")
"""否认其有A: these end a denial only where it has denied something."""
AFTER = frozenset("后而时")
DENYING = frozenset("未无")
OF_THE_DEAD = ("死", "系", "因", "生前", "患", "曾", "既往")
EVENTS = frozenset("患曾因诊确")
OPERATED = frozenset("术院")
"""Of a dated segment with one of these the date tells of something that is over."""


def marks(tokens: Sequence[Token], taken: Sequence[int]) -> list[int]:
    """Return for each token the bits of `triggers` that hold for it.

    `taken` tells the tokens of mentions, which are never triggers. Linear in the tokens.
    """
    sentence = Sentence(tokens, taken)
    reader = _Forward(sentence)
    carried = 0
    before = named = (0, 0)
    for first, last, following in sentence.segments():
        carried = reader.forward(first, last, reader.kept(carried, first, last))
        behind.backward(sentence, first, last)
        if behind.takes_back(sentence, named, first, last):
            before = named = (0, 0)
        if sentence.is_named(first, last):
            before = named = (first, last)
        elif last > first and following > last:
            behind.close(sentence, before, first, last)
            before = (0, 0)
    behind.answered(sentence)
    reader.undated()
    return sentence.result


class _Forward:
    """Marks what follows each word, segment by segment, and knows who is spoken of."""

    def __init__(self, sentence: Sentence) -> None:
        self._text = sentence
        self._person = self._own = 0
        self._framed = self._died = False
        self._dated: list[tuple[int, int]] = []
        self._goes_on = -1

    def kept(self, carried: int, first: int, last: int) -> int:
        """Return what of the state at the end of a segment goes on in the next, [first, last)."""
        if self._died and not self._text.begins(OF_THE_DEAD, first, last):
            self._person, self._died = 0, False
        if not carried:
            return 0
        # A sentence has many segments, but no segment is looked at twice.
        if self._text.begins(EXAMPLES, first, last):
            return carried
        keys = self._text.keys[first:last]
        if not DENYING.isdisjoint(keys) and self._text.is_bare(first, last):
            return carried & ~CERTAINTY  # 无呕吐，未排气，腹胀: a name that denies by itself
        if self._text.is_bare(first, last):
            kinds = self._text.taken[first:last]
            single = carried & NEAR and JOINS.isdisjoint(keys)
            measured = any(kind & MEASURED for kind in kinds)
            # 无触痛，脾大: an organ that is enlarged is a finding of its own.
            enlarged = keys[-1] == "大" and JOINS.isdisjoint(keys)
            # 疑似肺炎，咳嗽: whoever suspects a disease does not doubt the complaint.
            complaint = carried & UNCERTAIN and any(kind & COMPLAINT for kind in kinds)
            return carried & ~CERTAINTY if single or measured or complaint or enlarged else carried
        kept = carried & (HYPOTHETICAL | IF) if carried & IF else 0
        return kept | (carried & PLANNED if self._text.begins(THEN, first, last) else 0)

    def forward(self, first: int, last: int, state: int) -> int:
        """Mark what follows each trigger in a segment; return what may go on in the next."""
        keys, taken, result = self._text.keys, self._text.taken, self._text.result
        tail = self._tail(first, last)
        place, reached, brief, clean = first, bool(state), False, True
        framing = eventful = False
        dated = -1
        self._framed = False
        while place < last:
            match = self._text.found.get(place)
            if match:
                trigger, place = match.value, match.last
                if self._framed and {keys[match.first], keys[place - 1]} & AFTER:
                    self._person, self._framed = 0, False
                self._turn(match, first, tail, framing)
                framing = framing or bool(trigger.does & FRAME)
                eventful = eventful or keys[match.first] in EVENTS
                dated = match.first if dated < 0 and trigger.forward & WEAK else dated
                self._goes_on = match.first if trigger.does & GOES_ON else self._goes_on
                if not (self._is_having(match) and state & NEGATED and not reached):
                    state = _ended(state, trigger)
                bits = trigger.forward & ~OTHER_PERSON
                if bits and self._acts(match, first, last, tail):
                    state, brief = triggers.joined(state, bits), bool(trigger.reach)
                    state = state if bits & NEAR or not bits & CERTAINTY else state & ~NEAR
                    reached, clean = False, True
                    # A word of reach 1 (不, 未) acts on what stands right behind it alone.
                    if brief and not self._is_taken(place, last):
                        state, brief = state & ~CERTAINTY, False
                continue
            if self._framed and keys[place] in AFTER:
                self._person, self._framed = 0, False
            result[place] |= state | self._person | self._own
            reached = reached or bool(taken[place])
            clean = clean and (not reached or bool(taken[place]) or keys[place] in FILLERS)
            eventful = eventful or keys[place] in OPERATED
            place += 1
            if brief and not self._is_taken(place, last):
                state, brief = state & ~CERTAINTY, False
        if dated >= 0 and not eventful:
            self._dated.append((dated, last))
        return self._lasting(state, first, last, reached=reached, clean=clean)

    def _lasting(self, state: int, first: int, last: int, *, reached: bool, clean: bool) -> int:
        # 否认：A、B: the colon stands right behind the word.
        at_end = self._text.by_last.get(last - 1)
        if at_end and at_end.first >= first:
            return state
        if reached:
            return state if clean else state & ~CERTAINTY
        return state & PLANNED | (state & (HYPOTHETICAL | IF) if state & IF else 0)

    def _tail(self, first: int, last: int) -> int:
        """Return where nothing but endings follows; `last` + 1 where a colon does."""
        keys = self._text.keys
        if last < len(keys) and keys[last] == ":":
            return last + 1
        tail = last
        while tail > first and keys[tail - 1] in ENDINGS:
            tail -= 1
        return tail

    def _is_taken(self, place: int, last: int) -> bool:
        return place < last and bool(self._text.taken[place])

    def _is_having(self, match: Found) -> bool:
        return "".join(self._text.keys[match.first : match.last]) in HAVING

    def _acts(self, match: Found, first: int, last: int, tail: int) -> bool:
        """Tell whether a word acts on what follows: not one of both ways at the end (A可能)."""
        trigger, before = match.value, match.first - 1
        if trigger.begins and before >= first and self._text.keys[before] not in TELLING:
            return False
        if trigger.does & ADVISED and not self._text.is_advised(match, 1 << 30, acts=False):
            return False
        if trigger.backward and match.last >= tail:
            return False
        return not self._is_likened(match, last)

    def _is_likened(self, match: Found, last: int) -> bool:
        keys, taken = self._text.keys, self._text.taken
        if match.last - match.first > 1 or keys[match.first] not in LIKE:
            return False
        for place in range(match.last, min(match.last + LIKENESS_TOKENS, last)):
            if taken[place] and place > match.last + 1 and not taken[place - 1]:
                return False
            if keys[place] in LIKENESS:
                return True
        return False

    def _turn(self, match: Found, first: int, tail: int, framing: bool) -> None:
        """Take note of who a trigger speaks of."""
        does = match.value.does
        # 糖尿病患者 is whoever has diabetes, not the patient.
        sufferer = match.first > first and self._text.taken[match.first - 1]
        if does & SELF:
            self._own = OWN
        if (does & PATIENT and not sufferer) or (does & RECENT and match.first == first):
            self._person, self._framed = 0, False
        if does & DIED and self._person:
            self._died = True
        acts_back = match.value.backward & OTHER_PERSON and match.last >= tail
        if match.value.forward & OTHER_PERSON and not acts_back:
            self._person, self._own = OTHER_PERSON, 0
            self._framed = self._framed or framing or bool(does & FRAME)
            self._died = False

    def undated(self) -> None:
        """Take back that something is over where only when it began is told (3年前胸闷，加重)."""
        result = self._text.result
        for first, last in self._dated:
            if self._goes_on > first:
                for place in range(first, last):
                    if result[place] & WEAK:
                        result[place] &= ~(HISTORICAL | WEAK)


def _ended(state: int, trigger: triggers.Trigger) -> int:
    """Return the state without what a word ends."""
    if trigger.does & NOW:
        return 0
    if trigger.does & STOP:
        state &= ~CERTAINTY
    if trigger.does & ONSET and state & WEAK:
        state &= ~(HISTORICAL | WEAK)
    if trigger.does & DONE:
        state &= ~PLANNED
    return state
