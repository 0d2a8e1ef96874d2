"""The document's own words in Chinese and English, from `data/words.tsv`."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["zh", "en"]


@cache
def words(language: Language) -> dict[str, str]:
    """Return every word of the document by its key."""
    text = files("services.gateway.pdf").joinpath("data", "words.tsv").read_text("utf-8")
    lines = (line for line in text.splitlines() if line and line[0] != "#")
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["key"]: row[language] for row in table}


def language_of(tag: str) -> Language:
    """Return the document's language for a BCP 47 tag."""
    return "zh" if tag.lower().startswith("zh") else "en"
