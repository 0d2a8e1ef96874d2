"""A FHIR date, dateTime or instant in a parameter, as the period it covers. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from services.kernel.errors import InvalidInput, Violation

_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def period(text: str, name: str) -> tuple[int, int]:
    """Return the first and the last microsecond (since 1970 UTC) that a date covers.

    Without a time zone it is UTC. A "+" that a URL made a space of is read as one.

    Raises
    ------
    InvalidInput
        Not a date of R4, or one that no calendar has.
    """
    match = _FORM.fullmatch(text.replace(" ", "+"))
    try:
        if match is None:
            raise ValueError(name)
        first, last = _bounds(*match.groups())
    except (ValueError, OverflowError) as error:
        problem = Violation(f"http.{name}", "a date or time such as 2026-03-01T10:00:00Z")
        raise InvalidInput(f"{name} cannot be read", [problem], reason="BAD_REQUEST") from error
    return (first - _EPOCH) // _US, (last - _EPOCH) // _US - 1


def _bounds(
    year: str,
    month: str | None,
    day: str | None,
    hour: str | None,
    minute: str | None,
    second: str | None,
    fraction: str | None,
    zone: str | None,
) -> tuple[datetime, datetime]:
    """Return the first moment of a period and the first after it."""
    shift = timedelta()
    if zone and zone != "Z":
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
        shift = -shift if zone[0] == "-" else shift
    # A leap second is read as the second after it.
    seconds = min(int(second or 0), 59)
    start = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), tzinfo=UTC
    )
    start += timedelta(seconds=seconds, microseconds=int((fraction or "").ljust(6, "0")[:6]))
    start -= shift
    if month is None:
        return start, start.replace(year=start.year + 1)
    if day is None:
        return start, (start + timedelta(days=31)).replace(day=1)
    if hour is None:
        return start, start + timedelta(days=1)
    if second is None:
        return start, start + timedelta(minutes=1)
    if not fraction:
        return start, start + timedelta(seconds=1)
    return start, start + timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
