"""Characters the fonts can draw, and what stands for the others.

PDF/A forbids a glyph that is not in an embedded font (ISO 19005-3, 6.2.11.8), so one rare
character in a name would otherwise cost the whole report.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

GETA = "〓"
"""Traditional sign for a character that is not in the type case."""


@cache
def coverage(weight: str) -> frozenset[int]:
    """Return the code points a font draws; `weight` is Regular or Bold."""
    path = files("services.gateway.pdf").joinpath("fonts", f"NotoSansSC-{weight}.coverage")
    found: set[int] = set()
    for line in path.read_text("ascii").split():
        first, _, last = line.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


class Fitting:
    """Replaces what the regular font cannot draw, and remembers what it was."""

    def __init__(self) -> None:
        self.replaced: set[str] = set()

    def fit(self, value: Any) -> Any:
        """Return a JSON value with every text fit for the font."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self.fit(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fit(item) for item in value]
        return value

    def names(self) -> list[str]:
        """Return the replaced characters by code point, for example U+3402."""
        return sorted(f"U+{ord(character):04X}" for character in self.replaced)

    def _text(self, text: str) -> str:
        known = coverage("Regular")
        if all(ord(character) in known for character in text):
            return text
        return "".join(self._one(character) for character in text)

    def _one(self, character: str) -> str:
        known = coverage("Regular")
        if ord(character) in known:
            return character
        category = unicodedata.category(character)
        if category.startswith("Z") or character in "\n\t\r\x0b\x0c\x85":
            return " "
        if category in ("Cc", "Cf"):  # controls, joiners and direction marks draw nothing
            return ""
        same = unicodedata.normalize("NFKC", character)  # Ⅱ as II
        if all(ord(each) in known for each in same):
            return same
        self.replaced.add(character)
        return GETA
