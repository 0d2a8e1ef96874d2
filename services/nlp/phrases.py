"""Many phrases found at once: a tree of tokens, walked once over the text.

Time grows with the length of the text times that of the longest phrase, whatever the number
of phrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from services.nlp.tokens import Token, tokenize

T = TypeVar("T")


class Match(NamedTuple, Generic[T]):
    """A phrase found: tokens [first, last) and what the phrase stands for."""

    first: int
    last: int
    value: T


def keys(phrase: str) -> tuple[str, ...]:
    """Return the keys of the tokens of a phrase."""
    return tuple(token.key for token in tokenize(phrase))


@dataclass(slots=True)
class _Node(Generic[T]):
    after: dict[str, _Node[T]] = field(default_factory=dict)
    value: T | None = None


class Phrases(Generic[T]):
    """A set of phrases, each standing for a value; the first value given to a phrase stays."""

    def __init__(self, items: Iterable[tuple[str | tuple[str, ...], T]]) -> None:
        """Take each phrase as text or as the keys of its tokens."""
        self._root: _Node[T] = _Node()
        for phrase, value in items:
            node = self._root
            for key in keys(phrase) if isinstance(phrase, str) else phrase:
                if key not in node.after:
                    node.after[key] = _Node()
                node = node.after[key]
            if node.value is None and node is not self._root:
                node.value = value

    def find(self, tokens: Sequence[Token]) -> list[Match[T]]:
        """Return the matches, leftmost first, the longest at each place, none overlapping."""
        matches: list[Match[T]] = []
        begins = self._root.after
        place = 0
        while place < len(tokens):
            match = self._longest(tokens, place) if tokens[place].key in begins else None
            if match is None:
                place += 1
            else:
                matches.append(match)
                place = match.last
        return matches

    def _longest(self, tokens: Sequence[Token], first: int) -> Match[T] | None:
        node: _Node[T] | None = self._root
        best: Match[T] | None = None
        place = first
        while place < len(tokens):
            node = node.after.get(tokens[place].key) if node else None
            if node is None:
                break
            place += 1
            if node.value is not None:
                best = Match(first, place, node.value)
        return best
