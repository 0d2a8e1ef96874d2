"""A Chinese sentence while its segments are marked: its keys, mentions, triggers and marks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from services.nlp import triggers
from services.nlp.tokens import Token, is_han
from services.nlp.triggers import ADVICE, Found

COMMAS = frozenset(",:;。")
JOINS = frozenset("、及和与或并/")
EITHER = frozenset("或/")
BRACKETS = frozenset("()")
FILLERS = JOINS | BRACKETS | frozenset('等病史症状不适表现其他它任何体征以类的传染慢急《》“”"')
"""What a bare list may hold besides its items."""
ENDINGS = BRACKETS | frozenset('?!.性大较了”"』」')
"""What may stand between a word behind its object and the end of the item."""

TREATED = frozenset("药氧")


class Sentence:
    """The sentence; `result` has for each token the bits of `triggers` that hold for it."""

    def __init__(self, tokens: Sequence[Token], taken: Sequence[int]) -> None:
        self.keys = [token.key for token in tokens]
        self.taken = taken
        self.found = triggers.find(triggers.CHINESE, tokens, taken)
        self.by_last = {match.last - 1: match for match in self.found.values()}
        self.result = [0] * len(tokens)
        self._spaced = {
            place
            for place in range(1, len(tokens))
            if taken[place] and taken[place - 1] and tokens[place].start > tokens[place - 1].end
        }
        self._advice = sorted(n for n, match in self.found.items() if match.value.does & ADVICE)
        self._acts = [
            place
            for place, kind in enumerate(taken)
            if kind & triggers.ACT or self.keys[place] in TREATED
        ]

    def segments(self) -> Iterator[tuple[int, int, int]]:
        """Yield the segments [first, last) and where the next begins.

        A comma ends one, as a space between two mentions does (无发热 咳嗽3天). A colon right
        behind a word that acts forward ends none (否认：A).
        """
        first = 0
        for place in range(len(self.keys) + 1):
            step = 1
            if place in self._spaced:
                step = 0
            elif place < len(self.keys):
                if self.keys[place] not in COMMAS:
                    continue
                before = self.by_last.get(place - 1)
                if self.keys[place] == ":" and before and before.value.forward:
                    continue
            yield first, place, place + step
            first = place + step

    def is_named(self, first: int, last: int) -> bool:
        """Tell whether a segment holds a mention."""
        return any(self.taken[first:last])

    def begins(self, words: Iterable[str], first: int, last: int) -> bool:
        """Tell whether a segment begins with one of the words, of two tokens at most."""
        start = "".join(self.keys[first : min(first + 2, last)])
        return start.startswith(tuple(words))

    def is_bare(self, first: int, last: int) -> bool:
        """Tell whether a segment holds mentions and what joins them, nothing else."""
        return self.is_named(first, last) and all(
            self.taken[place] or self.keys[place] in FILLERS for place in range(first, last)
        )

    def is_advised(self, match: Found, last: int, *, acts: bool) -> bool:
        """Tell whether advice, or with `acts` a medicine, stands behind a word, before `last`."""
        places = [self._advice, self._acts] if acts else [self._advice]
        return any(
            found < len(each) and each[found] < last
            for each in places
            for found in (bisect_left(each, match.last),)
        )

    def is_other(self, place: int) -> bool:
        """Tell whether a token is of a Latin name, such as that of a test."""
        key = self.keys[place]
        return len(key) > 1 and key[0].isalpha() and not is_han(key[0])
