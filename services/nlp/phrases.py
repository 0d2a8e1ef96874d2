"""Many phrases found at once: a tree of tokens, walked once over the text.

Time grows with the length of the text times that of the longest phrase, whatever the number
of phrases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from services.nlp.tokens import Token, token_keys

T = TypeVar("T")
Keys = tuple[str, ...]
"""A phrase as the keys of its tokens."""
Node = dict[str | None, Any]


class Match(NamedTuple, Generic[T]):
    """A phrase found: tokens [first, last) and what the phrase stands for."""

    first: int
    last: int
    value: T


def keys(phrase: str) -> Keys:
    """Return the keys of the tokens of a phrase."""
    return tuple(token_keys(phrase))


class Phrases(Generic[T]):
    """A set of phrases, each standing for a value; the first value given to a phrase stays.

    The tree is of plain dictionaries, since a table makes a hundred thousand of them: by the key
    of a token what may follow it, by `None` what the phrase that ends here stands for.
    """

    def __init__(self, items: Iterable[tuple[str | Keys, T]] = ()) -> None:
        """Take each phrase as text or as the keys of its tokens."""
        self._root: Node = {}
        for phrase, value in items:
            node = self._root
            for key in token_keys(phrase) if isinstance(phrase, str) else phrase:
                after = node.get(key)
                if after is None:
                    after = node[key] = {}
                node = after
            if node is not self._root:
                node.setdefault(None, value)

    def add(self, choices: Sequence[Sequence[Keys]], value: T, joined: Callable[[T, T], T]) -> None:
        """Add every phrase that takes one of each of the choices.

        One that stands for something already stands for both, as `joined` has it.
        """
        ends = [self._root]
        for choice in choices:
            ends = [_walked(node, chosen) for node in ends for chosen in choice]
        for node in ends:
            if node is not self._root:
                node[None] = joined(node[None], value) if None in node else value

    def find(self, tokens: Sequence[Token]) -> list[Match[T]]:
        """Return the matches, leftmost first, the longest at each place, none overlapping."""
        return self.find_keys([token.key for token in tokens])

    def find_keys(self, keys: Sequence[str]) -> list[Match[T]]:
        """Return the matches in tokens of which the keys alone are given."""
        matches: list[Match[T]] = []
        begins = self._root
        if begins.keys().isdisjoint(keys):
            return matches
        place, end = 0, len(keys)
        while place < end:
            node = begins.get(keys[place])
            first, place = place, place + 1
            if node is None:
                continue
            best: T | None = node.get(None)
            last, after = place, place
            while after < end and (node := node.get(keys[after])) is not None:
                after += 1
                if None in node:
                    best, last = node[None], after
            if best is not None:
                matches.append(Match(first, last, best))
                place = last
        return matches


def _walked(node: Node, phrase: Keys) -> Node:
    """Return the node a phrase leads to, made where it is not there."""
    for key in phrase:
        after = node.get(key)
        if after is None:
            after = node[key] = {}
        node = after
    return node
