"""Text as tokens with their place: words, numbers, and every other character by itself.

Chinese has no spaces, so each Han character is a token; Latin words stay whole, so that "TB"
is not found in "TBIL". A number ends at its point: "3.2型糖尿病" is the third item of a list more
often than not. Offsets are code points of the text as given.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from services.nlp import tables

LETTER = r"[A-Za-z\u00C0-\u024F\uFB00-\uFB06]"
WORD = re.compile(rf"{LETTER}+(?:\xad+{LETTER}+)*(?:'[A-Za-z]+)?|[0-9]+|[^\s\xad]")
"""\\xad stands for what nobody sees: within a word it is stepped over (a soft hyphen)."""

WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms to ASCII, one character to one (Unicode block FF00)."""
TRADITIONAL = {
    ord(character): row["simplified"]
    for row in tables.rows("traditional")
    for character in row["traditional"]
}
COMPATIBLE = {
    code: unicodedata.normalize("NFKC", chr(code))
    for block in (range(0x2E80, 0x2FE0), range(0xF900, 0xFB00))
    for code in block
    if len(unicodedata.normalize("NFKC", chr(code))) == 1
}
"""Radicals and compatibility ideographs, as text copied from a PDF has them, to characters."""
DASHES = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63), "-")
UNSEEN = dict.fromkeys(
    (
        *(0x0, 0xAD, 0x61C, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
    ),
    " ",
)
"""Characters that nobody sees: null, joiners, direction marks, variation selectors."""
FOLDED: dict[int, int | str] = {**WIDE, **COMPATIBLE, **DASHES, **TRADITIONAL, **UNSEEN}
JOINERS = dict.fromkeys((0xAD, *range(0x200B, 0x200E), 0x2060, 0xFEFF), "\xad")
APOSTROPHE = {0x2019: "'"}
IN_WORDS: dict[int, int | str] = {**FOLDED, **JOINERS, **APOSTROPHE}


class Token(NamedTuple):
    """One token: its place, and its key, which is what tables are compared with."""

    start: int
    end: int
    key: str


def tokenize(text: str, offset: int = 0) -> list[Token]:
    """Return the tokens of `text`, whose first character stands at `offset`. Linear time."""
    plain = _plain(text)
    if plain.isascii():  # as long in small letters
        found = WORD.finditer(plain.lower())
        return [Token(offset + each.start(), offset + each.end(), each.group()) for each in found]
    found = WORD.finditer(plain)
    if "\xad" in plain:
        return [
            Token(offset + each.start(), offset + each.end(), _key(each.group())) for each in found
        ]
    return [
        Token(offset + each.start(), offset + each.end(), each.group().casefold()) for each in found
    ]


def token_keys(text: str) -> list[str]:
    """Return the keys of the tokens of `text` alone, for tables of phrases."""
    plain = _plain(text)
    words: list[str] = WORD.findall(plain)
    if "\xad" in plain:
        return [_key(word) for word in words]
    return [word.casefold() for word in words]


def _plain(text: str) -> str:
    return text if text.isascii() and "\0" not in text else text.translate(IN_WORDS)


def _key(word: str) -> str:
    return (word.replace("\xad", "") if "\xad" in word else word).casefold()


def key(word: str) -> str:
    """Return what a word is compared by: its plain form, straight apostrophe, no case."""
    return narrow(word).replace("’", "'").casefold()


def narrow(text: str) -> str:
    """Return the text with every character in its plain form and at its place.

    Full-width forms become ASCII, traditional characters simplified ones, unseen ones a space.
    """
    return text if text.isascii() and "\0" not in text else text.translate(FOLDED)


def is_han(character: str) -> bool:
    """Tell whether a character is a CJK ideograph (the blocks Chinese notes use)."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"
