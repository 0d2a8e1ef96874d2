"""Free text without identity: recognisers, and what is known of this patient."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.text import (
    days,
    edits,
    labels,
    numbers,
    people,
    places,
    roles_en,
    roles_zh,
    workplaces,
)
from services.anonymization.text.edits import Edit

_CJK = re.compile(r"[\u3400-\u9fff]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]")
"""Characters that split a name for a program and not for a reader."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text after redaction; whoever reads on sees only this one, and points into it."""

    text: str
    language: str
    """zh or en, from the text itself."""
    replaced: int


def redact(text: str, known: KnownStrings = NOTHING, shift_days: int | None = None) -> Redacted:
    """Return the text with names, numbers, places and institutions replaced by placeholders.

    Parameters
    ----------
    known
        What the case itself says of the patient and of who is named beside.
    shift_days
        Days added to each date; None: dates become placeholders.
    """
    plain = _INVISIBLE.sub("", text)
    language = language_of(plain)
    found = [Edit(start, end, label) for start, end, label in known.spans(plain)]
    for recogniser in (numbers, labels, people, roles_zh, roles_en, places, workplaces):
        found += recogniser.find(plain)
    found += list(roles_zh.beside(plain, found))
    again = found_in(plain, found)
    found += [Edit(start, end, label) for start, end, label in again.spans(plain)]
    found += days.find(plain, shift_days)
    result, count = edits.apply(plain, found, language)
    return Redacted(result, language, count)


def found_in(text: str, found: list[Edit]) -> KnownStrings:
    """Return names and numbers that were recognised once: elsewhere they may stand bare."""
    texts = [(edit.label, text[edit.start : edit.end]) for edit in found]
    names = {each for label, each in texts if label == "NAME" and 2 <= len(each) <= 40}
    marked = {each for label, each in texts if label in ("ID", "PHONE") and len(each) >= 5}
    return KnownStrings(frozenset(names), frozenset(marked))


def language_of(text: str) -> str:
    """Return zh where at least one in ten letters is Chinese, else en."""
    letters = sum(map(str.isalpha, text))
    return "zh" if len(_CJK.findall(text)) * 10 >= max(letters, 1) else "en"
