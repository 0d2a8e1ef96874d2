"""Strings as search compares them: without case, accents, width or extra white space. Pure.

Source: FHIR R4, search.html 3.1.1.4.8 (string): "insensitive to case and included combining
characters, like accents"; Unicode TR15 (NFKD), TR44 (Mn).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

PREFIXES = (1, 2, 3, 4, 6, 8, 12, 16)
"""Lengths of prefixes that the index holds; a longer or other one is looked at again."""
GRAMS_MAX = 256
"""Characters of one string whose substrings are indexed; a longer string is always a candidate."""
_VOICED = frozenset("\u3099\u309a")
"""Kana marks: they make another letter, they are no accents."""


def normal(text: str) -> str:
    """Return the form in which two strings are compared."""
    if text.isascii():
        return " ".join(text.lower().split())
    parts = unicodedata.normalize("NFKD", text)
    kept = [c for c in parts if unicodedata.category(c) != "Mn" or c in _VOICED]
    folded = unicodedata.normalize("NFC", "".join(kept).casefold())
    words = folded.split()
    joined = words[:1]
    for word in words[1:]:
        # Chinese is written without spaces: 张 三 is the name 张三.
        gap = "" if is_ideograph(joined[-1][-1]) and is_ideograph(word[0]) else " "
        joined += [gap, word]
    return "".join(joined)


def is_ideograph(character: str) -> bool:
    """Tell whether a character is a Chinese one (CJK Unified Ideographs and extensions)."""
    return "\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U0003ffff"


def prefix_length(text: str) -> int:
    """Return the longest indexed length that a prefix of this text has."""
    return max(length for length in PREFIXES if length <= len(text))


def grams(text: str) -> set[str]:
    """Return the substrings of a normal string by which `:contains` finds it.

    Three characters each, and of Chinese and other scripts beyond Latin, Greek and Cyrillic
    one and two as well, since there a word may be that short.
    """
    text = text[:GRAMS_MAX]
    found = {text[at : at + 3] for at in range(len(text) - 2)}
    if not text.isascii():
        found |= set(_short(text))
    return found


def _short(text: str) -> Iterator[str]:
    for at, character in enumerate(text):
        if character >= "\u2e80":
            yield character
            if at + 1 < len(text):
                yield text[at : at + 2]


def grams_of_search(text: str) -> set[str]:
    """Return the substrings a match of `:contains` must have; none when the text is too short."""
    if len(text) >= 3:
        return {text[at : at + 3] for at in range(len(text) - 2)}
    return {text} if text and text[0] >= "\u2e80" else set()
