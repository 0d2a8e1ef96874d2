"""Critical limits: values at which a physician is told at once.

Hospitals set their own, so the table in `data/critical.tsv` is a default that a tenant's rows
go before. A row holds for adults unless it states ages. A person of unknown age is held to the
limits of adults, and the source says so, because a missed critical value costs more than a
false one. The specimen needs no column: urine potassium is another analyte than potassium.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol

from services.kernel.errors import InvalidInput, Violation
from services.labs import analytes, tables, units
from services.labs.panel import Subject
from services.labs.reasons import NotInterpretable

DAYS_A_YEAR = 365.25
ADULT_DAYS = 18 * DAYS_A_YEAR
SEXES = ("", "male", "female")
_AGE = re.compile(r"(\d{1,5})([dy])")
_COUNTS = {"low": re.compile(r"(?:<=|≤)\s*"), "high": re.compile(r"(?:>=|≥)\s*")}
"""Before a limit that is itself critical."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A value below `low` or above `high` is critical; canonical unit; None: no limit.

    `low_counts` and `high_counts`: the limit itself is critical too.
    """

    low: Decimal | None
    high: Decimal | None
    source: str
    from_days: float = ADULT_DAYS
    """Youngest age it holds for."""
    to_days: float = float("inf")
    """Age from which on it holds no more."""
    sex: str = ""
    """male or female; empty: any."""
    first_only_h: float = 0.0
    """Hours in which the same analyte on the same side is told once; 0: it is told every time."""
    low_counts: bool = False
    high_counts: bool = False

    def holds_for(self, subject: Subject) -> bool:
        """Tell whether these are the limits for a person."""
        age = age_days(subject)
        aged = self.of_adults if age is None else self.from_days <= age < self.to_days
        return aged and self.sex in ("", subject.sex)

    @property
    def of_adults(self) -> bool:
        """Whether it holds for the grown-up of any age."""
        return self.from_days <= ADULT_DAYS and self.to_days == float("inf")

    def overlaps(self, other: Limits) -> bool:
        """Tell whether both could hold for one person."""
        ages = self.from_days < other.to_days and other.from_days < self.to_days
        return ages and (not self.sex or not other.sex or self.sex == other.sex)


Table = Mapping[str, tuple[Limits, ...]]
"""By analyte id; the first row that holds for a person counts."""


class Earlier(Protocol):
    """A person's earlier results."""

    def critical_times(self, analyte_id: str, *, high: bool, before: datetime) -> list[datetime]:
        """Return when an analyte was critical on that side before a time, in any order."""


def load(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[Limits, ...]]:
    """Return limits from rows of analyte, unit, low, high, source, and where they are stated
    age_from, age_to (`28d`, `18y`), sex and first_only_h. `<=2.8` as low and `>=6.2` as high: the
    limit itself is critical too.

    Raises
    ------
    InvalidInput
        Names every row that cannot be used, or that could hold for one person with another.
    """
    found: dict[str, list[Limits]] = defaultdict(list)
    problems: list[Violation] = []
    for number, row in enumerate(rows, 1):
        try:
            analyte_id, limits = _row(row)
        except (KeyError, ValueError, InvalidOperation, NotInterpretable) as error:
            problems.append(Violation(f"row {number}", type(error).__name__))
            continue
        if any(limits.overlaps(other) for other in found[analyte_id]):
            problems.append(Violation(f"row {number}", "Overlap"))
        found[analyte_id].append(limits)
    if problems:
        raise InvalidInput("a table of critical limits has rows that cannot be used", problems)
    return {analyte_id: tuple(each) for analyte_id, each in found.items()}


def _row(row: Mapping[str, str]) -> tuple[str, Limits]:
    analyte = analytes.ANALYTES[row["analyte"]]
    factor = analytes.to_canonical(units.read(row["unit"]), analyte)
    (low, low_counts), (high, high_counts) = (_end(row[end], end) for end in ("low", "high"))
    low, high = (None if end is None else end * factor for end in (low, high))
    limits = Limits(
        low,
        high,
        row.get("source") or "the tenant's table",
        _age(row.get("age_from", ""), ADULT_DAYS),
        _age(row.get("age_to", ""), float("inf")),
        row.get("sex", ""),
        float(row.get("first_only_h") or 0),
        low_counts,
        high_counts,
    )
    narrow = low is not None and high is not None and low >= high
    if narrow or limits.from_days >= limits.to_days or limits.sex not in SEXES:
        raise ValueError
    if not 0 <= limits.first_only_h < float("inf"):
        raise ValueError
    return analyte.analyte_id, limits


def _end(text: str, end: str) -> tuple[Decimal | None, bool]:
    """Return a limit, and whether it is itself critical."""
    if not text:
        return None, False
    sign = _COUNTS[end].match(text)
    return Decimal(text[sign.end() :] if sign else text), sign is not None


def _age(text: str, absent: float) -> float:
    if not text:
        return absent
    found = _AGE.fullmatch(text)
    if not found:
        raise ValueError("an age is a number with d or y")
    return int(found[1]) * (DAYS_A_YEAR if found[2] == "y" else 1)


DEFAULTS: Table = load(tables.rows("critical"))


def before(own: Table, others: Table = DEFAULTS) -> Table:
    """Return a table in which a tenant's rows go before others, which stay for whom it has none."""
    return {key: (*own.get(key, ()), *others.get(key, ())) for key in (*others, *own)}


def limits_for(analyte_id: str, subject: Subject, table: Table) -> Limits | None:
    """Return the limits that hold for a person; None where there are none."""
    limits = next((each for each in table.get(analyte_id, ()) if each.holds_for(subject)), None)
    if limits and age_days(subject) is None:
        return replace(limits, source=f"{limits.source}; age not stated")
    return limits


def age_days(subject: Subject) -> float | None:
    """Return the age in days; None where it is not known."""
    if subject.age_days is not None:
        return subject.age_days
    return None if subject.age_years is None else subject.age_years * DAYS_A_YEAR
