"""FHIR dateTimes as spans of time: a date without a clock time covers its whole day.

Source: FHIR R4 datatypes, dateTime and Period ("if the end of the period is a date,
it includes any time on that date").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d))?)?)?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first instant a FHIR dateTime can mean up to, not including, the next."""

    start: datetime
    end: datetime


def span(text: object, zone: tzinfo) -> Span | None:
    """Return what a FHIR dateTime covers, in UTC; None when it is not one.

    Parameters
    ----------
    text : `2026`, `2026-11`, `2026-11-20` or an instant with a zone
    zone : where a date without a zone was written
    """
    match = _DATE_TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        if match["clock"]:
            offset = "+00:00" if match["zone"] == "Z" else match["zone"]
            start = datetime.fromisoformat(f"{match[0][:19]}{offset}").astimezone(UTC)
            return Span(start, start + timedelta(seconds=1))
        year, month, day = (int(match[name] or 1) for name in ("year", "month", "day"))
        start = datetime(year, month, day, tzinfo=zone)
        return Span(start.astimezone(UTC), _next(match, start).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _next(match: re.Match[str], start: datetime) -> datetime:
    """Return the start of the day, month or year after the one written."""
    if match["day"]:
        return start + timedelta(days=1)
    if match["month"]:
        return (start + timedelta(days=32)).replace(day=1)
    if start.year == 9999:
        return datetime.max.replace(tzinfo=start.tzinfo) - timedelta(days=2)
    return start.replace(year=start.year + 1)
