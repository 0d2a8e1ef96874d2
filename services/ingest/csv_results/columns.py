"""Which header means which column; see `columns.toml`. Pure."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from importlib import resources

from services.kernel.errors import InvalidInput, Violation

SYNONYMS: dict[str, list[str]] = tomllib.loads(
    (resources.files(__package__) / "columns.toml").read_text("utf-8")
)
REQUIRED = ("patient_id", "value")
KNOWN_MIN = 2
"""Columns from which a first row is a header: of a row of data nothing may be quoted."""
_MARKS = re.compile(r"[\W_]+")


class HeaderNotUsable(InvalidInput):
    """The first row is no header that can be used."""


def read(header: Sequence[str]) -> list[str]:
    """Return the column that each header means.

    Raises
    ------
    HeaderNotUsable
        NO_HEADER, UNKNOWN_COLUMN (each by its name), COLUMN_TWICE, COLUMN_MISSING.
    """
    found = [_KNOWN.get(_plain(each), "") for each in header]
    if sum(bool(each) for each in found) < KNOWN_MIN:
        raise HeaderNotUsable(
            "the first row is no header of known columns; see docs/guides/hl7v2.md",
            reason="NO_HEADER",
        )
    unknown = [
        Violation(f"column {number}", f"{header[number - 1].strip()[:40]!r} is not known")
        for number, each in enumerate(found, 1)
        if not each
    ]
    if unknown:
        raise HeaderNotUsable(
            "a column is not known; rename it or leave it out", unknown, reason="UNKNOWN_COLUMN"
        )
    twice = [each for each in SYNONYMS if found.count(each) > 1]
    if twice:
        raise HeaderNotUsable(f"columns come twice: {', '.join(twice)}", reason="COLUMN_TWICE")
    missing = [each for each in REQUIRED if each not in found]
    if not {"name", "code"} & set(found):
        missing.append("name or code")
    if missing:
        raise HeaderNotUsable(f"columns are missing: {', '.join(missing)}", reason="COLUMN_MISSING")
    return found


def known(header: Sequence[str]) -> int:
    """Return how many headers are known."""
    return sum(_plain(each) in _KNOWN for each in header)


def _plain(text: str) -> str:
    return _MARKS.sub("", unicodedata.normalize("NFKC", text)).casefold()


_KNOWN = {_plain(each): name for name, listed in SYNONYMS.items() for each in (name, *listed)}
