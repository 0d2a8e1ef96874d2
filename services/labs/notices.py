"""Which critical results are told at once, ahead of the report. Pure.

Every critical result keeps its flag in the report. Where a hospital's table says "first time
only", a result is told again only when none like it was told in the hours before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.labs import critical
from services.labs.interpret import Flag, Result
from services.labs.panel import Subject

RETRACTED = frozenset({"corrected", "amended", "cancelled", "entered-in-error"})
"""Statuses of a result that was another one before."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One result to be told, and the limit that it passed."""

    result: Result
    high: bool
    limit: Decimal
    """In the analyte's canonical unit."""
    source: str


class _Part:
    """What came earlier within the part itself."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._known = [
            (each.name, each.flag is Flag.CRITICAL_HIGH, time)
            for each in results
            if each.critical and (time := moment(each.measured.effective))
        ]

    def critical_times(self, analyte_id: str, *, high: bool, before: datetime) -> list[datetime]:
        """See `critical.Earlier`."""
        return [
            time
            for name, side, time in self._known
            if (name, side) == (analyte_id, high) and time < before
        ]


def notices(
    results: Sequence[Result],
    subject: Subject,
    table: critical.Table = critical.DEFAULTS,
    earlier: critical.Earlier | None = None,
) -> list[Notice]:
    """Return what is to be told, in the order of the part.

    Parameters
    ----------
    earlier : the person's results before this part; None: they are not known
    """
    known = [_Part(results), *([earlier] if earlier else [])]
    return [
        notice
        for each in results
        if each.critical and (notice := _notice(each, subject, table, known))
    ]


def retracted(results: Sequence[Result]) -> list[str]:
    """Return ids of results that were changed or taken back: an earlier value holds no more."""
    return [each.measured.observation_id for each in results if each.measured.status in RETRACTED]


def _notice(
    result: Result, subject: Subject, table: critical.Table, known: Sequence[critical.Earlier]
) -> Notice | None:
    limits = critical.limits_for(result.name, subject, table)
    high = result.flag is Flag.CRITICAL_HIGH
    if limits is None:
        return None
    limit = limits.high if high else limits.low
    if limit is None:
        return None
    at = moment(result.measured.effective)
    if limits.first_only_h and at:
        times = [
            time
            for each in known
            for time in each.critical_times(result.name, high=high, before=at)
        ]
        if not _due(times, at, timedelta(hours=limits.first_only_h)):
            return None
    return Notice(result, high, limit, limits.source)


def _due(times: Sequence[datetime], at: datetime, hours: timedelta) -> bool:
    """Tell whether the last one that was told is as long ago; one that was held back is not told.

    Else a value that stays critical would be told once and never again.
    """
    told: datetime | None = None
    for time in sorted(times):
        if told is None or time - told > hours:
            told = time
    return told is None or at - told > hours


def moment(text: str) -> datetime | None:
    """Return a FHIR dateTime with its time of day, UTC where no zone is stated; None for a day.

    Which of two results of one day came first is not known, so neither hides the other.
    """
    if "T" not in text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
