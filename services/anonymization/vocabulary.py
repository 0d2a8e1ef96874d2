"""A closed vocabulary for DICOM text: a word that is not in it is not kept.

Recognisers find the identity they know of; a vocabulary also stops what nobody foresaw.
Descriptions of body part, view, phase and technique pass, because routing needs them
(PS3.15 E.3.5, Clean Descriptors Option). The vocabulary is `words.txt`, `terms.txt` and
`words_zh.txt`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

SINGLE_LETTERS_MAX = 2
NUMBER_DIGITS_MAX = 3
"""Longer numbers may be record numbers."""
DIGITS_MAX = 8
"""So may several short ones in one text."""


def read(name: str) -> frozenset[str]:
    """Return the words of a data file of this package; lines that begin with # are comments."""
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


WORDS = read("words.txt") | frozenset(word.lower() for word in read("terms.txt"))
WORDS_ZH = read("words_zh.txt")
_LONGEST_ZH = max(map(len, WORDS_ZH))
_TOKEN = re.compile(r"\d+(?:\.\d+)?(?![A-Za-z\d])|[A-Za-z\d]+|[^\W\d_a-zA-Z]+")
_MEASURE = re.compile(
    r"\d{1,3}(?:\.\d{1,3})?(?:mm|cm|kv|kvp|ma|mas|hz|t|d|ml|hu|s|st|nd|rd|th|x\d{1,3})"
    r"|[a-z]{1,2}\d{1,2}[a-z]?"  # T2, FC51, B30f, C7
)


def tokens(text: str) -> list[str]:
    """Return the words and numbers of a text; punctuation is no token."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=8192)
def is_known(text: str) -> bool:
    """Tell whether every word of a text is in the vocabulary."""
    found = tokens(text)
    letters = sum(len(token) == 1 and token.isascii() and token.isalpha() for token in found)
    few = letters <= SINGLE_LETTERS_MAX and _digits(found) <= DIGITS_MAX
    return few and all(_known(token) for token in found)


@lru_cache(maxsize=8192)
def known_words(text: str) -> tuple[str, ...]:
    """Return the vocabulary words of a text in their order; the rest is gone."""
    found = [token for token in tokens(text) if len(token) > 1 and _known(token)]
    few = _digits(found) <= DIGITS_MAX
    return tuple(token for token in found if few or not any(map(str.isdigit, token)))


def _digits(found: list[str]) -> int:
    return sum(map(str.isdigit, "".join(found)))


def _known(token: str) -> bool:
    if not token.isascii():
        return _all_zh(token)
    if len(token) == 1 or token.lower() in WORDS:
        return True
    if token.replace(".", "").isdigit():
        return len(token.split(".")[0]) <= NUMBER_DIGITS_MAX and len(token) <= 6
    return bool(_MEASURE.fullmatch(token.lower()))


def _all_zh(run: str) -> bool:
    """Tell whether a run of characters is made of vocabulary words alone."""
    reachable = {0}
    for start in range(len(run)):
        if start in reachable:
            ends = range(start + 1, min(start + _LONGEST_ZH, len(run)) + 1)
            reachable.update(end for end in ends if run[start:end] in WORDS_ZH)
    return len(run) in reachable
