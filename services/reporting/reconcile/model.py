"""A statement of the notes beside what else is known: it agrees, or does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.reporting.suggestions.model import Span


class Sort(StrEnum):
    """What was compared; codes of `urn:dxmesh:reconciliation`."""

    AGREEMENT = "agreement"
    RESULT = "result"
    IMAGE = "image"
    MEDICINE = "medicine"
    ALLERGY = "allergy"
    CONTRADICTION = "contradiction"


class Severity(StrEnum):
    """How soon somebody should look; R4 DetectedIssue.severity."""

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"


ORDER = {Severity.HIGH: 0, Severity.MODERATE: 1, Severity.LOW: 2}


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison, in both languages."""

    sort: Sort
    key: str
    """Names it within its sort, the same in every version of the report."""
    zh: str
    en: str
    spans: tuple[Span, ...] = ()
    """Where the notes say so."""
    places: tuple[str, ...] = ()
    """Ids of the Observations that say the other thing, or the same."""
    severity: Severity = Severity.MODERATE
    link: str = ""
    """Guideline or label; may be empty."""
