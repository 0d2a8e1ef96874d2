"""What a summary says of a lesion beside its name: its kind and how large it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from services.nlp import tables
from services.nlp.terms import Term

UNITS = (
    (re.compile(r"毫米|millimeters?", re.IGNORECASE), "mm"),
    (re.compile(r"厘米|公分|centimeters?", re.IGNORECASE), "cm"),
)
BY = re.compile(r"[ ]*(?:[x×*]|\bby\b)[ ]*", re.IGNORECASE)
UNIT = re.compile(r"(?<=[0-9])[ -]*(mm|cm)", re.IGNORECASE)


def _load() -> Iterator[tuple[re.Pattern[str], dict[str, str]]]:
    for row in tables.rows("kinds"):
        names = [*tables.names(row["names_zh"]), *tables.names(row["names_en"])]
        words = [re.escape(n) if not n.isascii() else rf"\b{re.escape(n)}\b" for n in names]
        yield re.compile("|".join(words), re.IGNORECASE), row


KINDS = list(_load())
KINDRED = frozenset(("Pneumonia",))
"""Terms that hold diseases of several kinds."""


def size(written: str, language: str) -> str:
    """Return a size in plain form in the words of a language: 8毫米 is 8 mm."""
    text = written
    for unit, sign in UNITS:
        text = unit.sub(sign, text)
    text = UNIT.sub(lambda found: f" {found[1].lower()}", BY.sub(" × ", text))
    return re.sub(r"[ ]to[ ]", " 至 " if language == "zh" else " to ", text)


def kinds(term: Term | None, written: Iterable[str], language: str) -> Iterator[str]:
    """Yield the kinds that the names of a disease as written have and its term has not."""
    if term is None or term.en not in KINDRED:
        return
    names = list(dict.fromkeys(written))
    for pattern, row in KINDS:
        if any(map(pattern.search, names)):
            yield row[language]
