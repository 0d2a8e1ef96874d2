"""Names of headings, and the sections they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from services.nlp import tables
from services.nlp.tokens import narrow


class Section(Enum):
    """What a section is about."""

    __hash__ = object.__hash__  # members are single; the hash of their names is slow

    UNSPECIFIED = "unspecified"
    CHIEF_COMPLAINT = "chief_complaint"
    PRESENT_HISTORY = "present_history"
    PAST_HISTORY = "past_history"
    PERSONAL_HISTORY = "personal_history"
    FAMILY_HISTORY = "family_history"
    ALLERGIES = "allergies"
    MEDICATIONS = "medications"
    EXAMINATION = "examination"
    INVESTIGATIONS = "investigations"
    DIAGNOSIS = "diagnosis"
    PLAN = "plan"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class HeadingName:
    """What a name of a heading stands for."""

    section: Section
    within: str = ""
    """`part`: it takes the section it stands in; `line`: it ends with its line; what stands under
    `doubt` is only possible, under `watch` only to be watched for."""


NOISE = re.compile(r"[\s'’.*_#\-]+")
JOINED = re.compile(r"[/、+,&]|\band\b|[与及和]", re.IGNORECASE)


def fold(name: str) -> str:
    """Return what a name is compared by: "主 诉" and "Follow-Up" are "主诉" and "followup"."""
    return NOISE.sub("", narrow(name)).casefold().replace("history", "hx").replace("&", "and")


def _by_name() -> dict[str, HeadingName]:
    found: dict[str, HeadingName] = {}
    for row in tables.rows("headings"):
        for each in tables.names(f"{row['names_zh']};{row['names_en']}"):
            found.setdefault(fold(each), HeadingName(Section(row["section"]), row["within"]))
    return found


BY_NAME = _by_name()


def known(written: str) -> HeadingName | None:
    """Return what a name, or names joined by "and" or a stroke, stand for: the first one's."""
    if found := BY_NAME.get(fold(written)):
        return found
    parts = JOINED.split(written)
    if len(parts) == 1:
        return None
    named = [BY_NAME.get(fold(part)) for part in parts]
    return named[0] if all(named) else None
