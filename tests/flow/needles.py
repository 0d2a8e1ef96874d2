"""Looks for many short byte strings in large contents at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import numpy as np

What = TypeVar("What")
PREFIX = 3


class Needles(Generic[What]):
    """Byte strings of three bytes or more, each with what it stands for.

    The first three bytes of all of them are one table, so a content is passed once.
    """

    def __init__(self, known: Mapping[bytes, What]) -> None:
        self._by_prefix: dict[bytes, list[tuple[bytes, What]]] = defaultdict(list)
        self._begins = np.zeros(1 << 8 * PREFIX, dtype=bool)
        for needle, what in known.items():
            assert len(needle) >= PREFIX, needle
            self._by_prefix[needle[:PREFIX]].append((needle, what))
            self._begins[int.from_bytes(needle[:PREFIX], "big")] = True

    def found(self, content: bytes) -> Iterator[tuple[bytes, int, What]]:
        """Yield each needle with each place where it stands."""
        if len(content) < PREFIX:
            return
        each = np.frombuffer(content, dtype=np.uint8).astype(np.uint32)
        keys = (each[:-2] << 16) | (each[1:-1] << 8) | each[2:]
        for place in np.flatnonzero(self._begins[keys]).tolist():
            for needle, what in self._by_prefix[content[place : place + PREFIX]]:
                if content.startswith(needle, place):
                    yield needle, place, what
