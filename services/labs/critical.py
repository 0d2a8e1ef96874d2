"""Critical limits: values at which a physician is told at once.

Hospitals set their own, so the table in `data/critical.tsv` is a default that a tenant's
table replaces row by row. Limits are for adults; a person of unknown age is held to them
too, and the source says so, because a missed critical value costs more than a false one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from services.kernel.errors import InvalidInput, Violation
from services.labs import analytes, tables, units
from services.labs.panel import Subject
from services.labs.reasons import NotInterpretable


@dataclass(frozen=True, slots=True)
class Limits:
    """A value below `low` or above `high` is critical; canonical unit; None: no limit."""

    low: Decimal | None
    high: Decimal | None
    source: str


Table = Mapping[str, Limits]
"""By analyte id."""


def load(rows: Iterable[Mapping[str, str]]) -> dict[str, Limits]:
    """Return limits from rows of analyte, unit, low, high, source.

    Raises
    ------
    InvalidInput
        Names every row that cannot be used.
    """
    found: dict[str, Limits] = {}
    problems: list[Violation] = []
    for number, row in enumerate(rows, 1):
        try:
            analyte = analytes.ANALYTES[row["analyte"]]
            factor = analytes.to_canonical(units.read(row["unit"]), analyte)
            low, high = (
                Decimal(row[end]) * factor if row[end] else None for end in ("low", "high")
            )
            if low is not None and high is not None and low >= high:
                raise InvalidOperation
        except (KeyError, InvalidOperation, NotInterpretable) as error:
            problems.append(Violation(f"row {number}", type(error).__name__))
            continue
        found[analyte.analyte_id] = Limits(low, high, row.get("source") or "the tenant's table")
    if problems:
        raise InvalidInput("a table of critical limits has rows that cannot be used", problems)
    return found


DEFAULTS: Table = load(tables.rows("critical"))


def limits_for(analyte_id: str, subject: Subject, table: Table) -> Limits | None:
    """Return the limits that hold for a person; None for a child or an analyte without."""
    limits = table.get(analyte_id)
    if limits is None or subject.adult:
        return limits
    if subject.age_years is not None:
        return None
    return Limits(limits.low, limits.high, f"{limits.source}; age not stated")
