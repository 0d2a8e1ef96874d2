r"""Escape sequences of text: \F\ \S\ \T\ \R\ \E\ \P\, \X..\, \.br\ and formatting. Pure.

What is not understood stays as it was written and is told to `unknown`. Linear in the text.

Source: HL7 v2.9 2.7 (escape sequences), 2.7.7 (formatted text).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_FORMAT = re.compile(r"\.(br|sp|ce|sk|in|ti|fi|nf)\s*([+-]?\d{0,3})", re.IGNORECASE | re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
LINES_MAX = 40
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@lru_cache(maxsize=64)
def _pattern(escape: str) -> re.Pattern[str]:
    sign = re.escape(escape)
    return re.compile(f"{sign}([^{sign}\r\n]{{1,4000}}){sign}")


def unescape(
    text: str, signs: dict[str, str], escape: str, codec: str, unknown: Callable[[], None]
) -> str:
    """Return a text without its escapes.

    Parameters
    ----------
    signs : letter → what stands for it: F, S, T, R, E, P of this message
    codec : character set of the bytes in an \\X..\\ escape
    """
    if escape not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        inner = match[1]
        if inner in signs:
            return signs[inner]
        if inner in ("H", "N"):  # highlighting begins and ends
            return ""
        if inner[:1] == "X" and _HEX.fullmatch(inner[1:]):
            try:
                return _printed(bytes.fromhex(inner[1:]).decode(codec))
            except UnicodeDecodeError:
                unknown()
                return match[0]
        if found := _FORMAT.fullmatch(inner):
            return _formatted(found[1].lower(), found[2])
        unknown()
        return match[0]

    return _pattern(escape).sub(replaced, text)


def _printed(text: str) -> str:
    """Return a text without control characters: bytes in an escape bring none back."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _formatted(command: str, number: str) -> str:
    count = min(int(number), LINES_MAX) if number.strip("+-") else 1
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * max(count, 1)
    return " " * max(count, 0) if command == "sk" else ""
