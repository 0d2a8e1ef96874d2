"""Times of v2 as FHIR writes them: as precise as they came, with the zone that holds. Pure.

Source: HL7 v2.9 2A.3.21 (DTM), 2.14.9.7 (the zone in MSH-7 holds for the message); v2-to-FHIR
DTM[dateTime].
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime

_MOMENT = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
_CLOCK = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,4})?)?)?(?:[+-]\d{4})?", re.ASCII)


def zone_of(text: str) -> str:
    """Return the zone that a DTM states, ±HH:MM; empty when it states none."""
    found = _MOMENT.fullmatch(text.strip())
    return _zone(found[8]) if found and found[8] else ""


def moment(text: str, zone: str) -> str:
    """Return a DTM as FHIR date or dateTime; empty when it is none.

    A clock time without a zone has `zone` (±HH:MM); an hour alone is a minute 00, as FHIR has no
    hours. ISO 8601 is taken too: some senders write it.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if "-" in text[4:5]:
        return _iso(text, zone)
    found = _MOMENT.fullmatch(text)
    if not found:
        return ""
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if hour is None:
        written = "-".join(part for part in (year, month, day) if part)
        return written if _is_day(year, month, day) else ""
    stated = _zone(offset) if offset else zone
    clock = f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    written = f"{year}-{month}-{day}T{clock}{stated}"
    return written if stated and _is_moment(written) else ""


def day(text: str) -> str:
    """Return the date of a DTM, as far as it is known; empty when it is none."""
    found = moment(text, "+00:00")
    return found.partition("T")[0]


def clock(text: str) -> str:
    """Return a TM as FHIR time; empty when it is none."""
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return ""
    hour, minute, second, fraction = found.groups()
    written = f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    return written if _is_moment(f"2000-01-01T{written}+00:00") else ""


def instant(written: str) -> datetime | None:
    """Return the instant of a FHIR dateTime with a clock time; None for a date alone."""
    if "T" not in written:
        return None
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _iso(text: str, zone: str) -> str:
    try:
        if len(text) == 10:
            return date.fromisoformat(text).isoformat()
        found = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return ""
    written = found.isoformat()
    return written if found.tzinfo else (written + zone if zone else "")


def _zone(text: str) -> str:
    found = _OFFSET.fullmatch(text)
    if not found or int(found[2]) > 14 or int(found[3]) > 59:
        return ""
    return f"{found[1]}{found[2]}:{found[3]}"


def _is_day(year: str, month: str | None, of_month: str | None) -> bool:
    try:
        date(int(year), int(month or 1), int(of_month or 1))
    except ValueError:
        return False
    return True


def _is_moment(written: str) -> bool:
    try:
        datetime.fromisoformat(written)
    except ValueError:
        return False
    return True
