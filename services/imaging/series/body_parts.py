"""One name for a body part, from what headers call it."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources


@cache
def _words() -> tuple[tuple[str, str], ...]:
    """Return (word, part), longest word first."""
    text = resources.files(__package__).joinpath("data/body_parts.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")][1:]
    pairs = [(word, part) for part, words in rows for word in words.split("|")]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


@lru_cache(maxsize=1024)
def body_part(*texts: str) -> str:
    """Return the name of the first text that has one: "CHEST", "HEAD", "LEG"; "" for none.

    A text that is a word of the table stands for its part; else the longest word that the
    text holds.
    """
    for text in texts:
        wanted = " ".join(text.upper().replace("_", " ").split())
        exact = next((part for word, part in _words() if word == wanted), "")
        if exact or (exact := _within(wanted)):
            return exact
    return ""


def _within(text: str) -> str:
    for word, part in _words():
        if not word.isascii():
            if word in text:
                return part
        elif re.search(rf"(?<![A-Z]){re.escape(word)}(?![A-Z])", text):
            return part
    return ""
