"""What was measured and of whom, as it came: nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DAYS_A_YEAR = 365.25
DIGITS_MAX = EXPONENT_MAX = 30


@dataclass(frozen=True, slots=True)
class Subject:
    """What ranges and scores need to know of the person."""

    sex: str = "unknown"
    """male, female, other or unknown (FHIR administrative gender)."""
    age_years: float | None = None
    pregnant: bool | None = None
    gestation_weeks: float | None = None
    """Completed weeks of pregnancy; None: not known."""
    age_days: float | None = None
    """Age in days, where it is known that well; None: see `age_years`."""

    @property
    def years(self) -> float | None:
        """Age in years as exactly as it is known; None: not known."""
        return self.age_years if self.age_days is None else self.age_days / DAYS_A_YEAR

    @property
    def adult(self) -> bool:
        """Whether the person is known to be 18 or older."""
        return self.age_years is not None and self.age_years >= 18


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Quantity:
    """A number as it came, with its unit as text and as code."""

    number: Decimal
    written: str
    comparator: str = ""
    unit: str = ""
    code: str = ""
    """The unit's code; UCUM when `system` says so."""

    @property
    def in_scale(self) -> bool:
        """Whether the number is one a measurement can have; others could exhaust memory."""
        if len(self.written) <= DIGITS_MAX and self.written.replace(".", "", 1).isdecimal():
            return True
        _, digits, exponent = self.number.as_tuple()
        finite = isinstance(exponent, int) and len(digits) <= DIGITS_MAX
        return finite and abs(self.number.adjusted()) <= EXPONENT_MAX


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Measured:
    """One result: an Observation's own value, or one of its components."""

    observation_id: str
    status: str
    loinc: tuple[str, ...] = ()
    display: str = ""
    effective: str = ""
    quantity: Quantity | None = None
    text: str = ""
    """A value that is not one number, as it came."""
    panel: bool = False
    """It only groups others."""
    ranges: tuple[Mapping[str, Any], ...] = field(default=())
    """FHIR referenceRange entries."""
    high: Quantity | None = None
    """Upper end of a range of values; `quantity` is its lower end."""
    coded: bool = False
    """The text is that of a code."""
    local: tuple[tuple[str, str], ...] = ()
    """Codes of other systems than LOINC: system, code."""
    names: tuple[str, ...] = ()
    """What it is called: text of its code, then displays."""
    specimen: str = ""
    """Specimen as it came; empty: not stated."""
    dilution: bool = False
    """The number is the dilution of a titre, 80 of 1:80."""
    category: str = ""
    """FHIR observation-category when no laboratory made it, such as vital-signs; else empty."""
    answers: tuple[str, ...] = ()
    """Codes of a coded value, whatever their systems."""
    notes: tuple[str, ...] = ()
    """What the laboratory wrote beside it."""
    flagged: tuple[str, ...] = ()
    """Codes of the laboratory's own interpretation, such as H."""


@dataclass(frozen=True, slots=True)
class Comment:
    """What the laboratory wrote of an order or a specimen."""

    text: str
    results: frozenset[str]
    """Ids of Observations."""


@dataclass(frozen=True, slots=True)
class LabPart:
    """A labs part: whose it is, and what was measured, in order."""

    subject: Subject
    measured: tuple[Measured, ...]
    comments: tuple[Comment, ...] = ()
