"""Dates and times moved consistently: DICOM DA, TM, DT and FHIR date, dateTime, instant.

Days are whole, so intervals in days stay exact. A DICOM time of day moves later by the
patient's seconds; in the day's last hour it is compressed instead of passing midnight, so
order is kept and a date and its time never disagree. FHIR times of day are not moved: a
clinician compares them with the chart, and a day nobody knows makes them say nothing.

Sources: DICOM PS3.5 6.2 (DA, TM, DT), PS3.15 E.3.6; FHIR R4 datatypes.
"""

from __future__ import annotations

import datetime as dt
import re

DAY_S = 86_400
SECOND_US = 1_000_000
EDGE_S = 3_600
DAYS_A_YEAR = 365.2425
"""Length of the day's end in which times are compressed."""

_DA = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TM = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
_FHIR = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T\S*)?)?)?")
_FHIR_TIME = re.compile(r"T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?")


def shift_day(day: dt.date, days: int) -> dt.date | None:
    """Return the day moved; None past the calendar's ends."""
    try:
        return day + dt.timedelta(days=days)
    except OverflowError:
        return None


def shift_da(text: str, days: int) -> str | None:
    """Return DA moved; ACR-NEMA separators are dropped. None when `text` is no date."""
    found = _DA.fullmatch(text.strip())
    moved = _moved(found.groups(), days) if found else None
    return f"{moved.year:04}{moved.month:02}{moved.day:02}" if moved else None


def shift_tm(text: str, seconds: int) -> str | None:
    """Return TM moved later within its day, at least to the minute; None when it is none.

    Minutes stay minutes, but for those of the last hour: they become whole seconds, by which
    they are told from seconds, which have a fraction there. An hour alone becomes minutes.
    """
    found = _TM.fullmatch(text.strip())
    if not found:
        return None
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    at = (int(hour) * 3600 + int(minute or 0) * 60 + min(int(second or 0), 59)) * SECOND_US
    at += int((fraction or "").ljust(6, "0"))
    late = at >= (DAY_S - EDGE_S) * SECOND_US
    share = (DAY_S * SECOND_US - at) / EDGE_S if late else SECOND_US
    moved = min(at + round(seconds * share), DAY_S * SECOND_US - 1)
    whole, part = divmod(moved, SECOND_US)
    hours, rest = divmod(whole, 3600)
    digits = f"{hours:02}{rest // 60:02}"
    if second is not None or late:
        digits += f"{rest % 60:02}"
    if fraction is not None or (late and second is not None):
        digits += f".{part:06}"
    return digits


def shift_dt(text: str, days: int, seconds: int) -> str | None:
    """Return DT moved with its precision and time zone kept; None when it is none."""
    found = _DT.fullmatch(text.strip())
    if not found:
        return None
    year, month, day, time, zone = found.groups()
    moved = _moved((year, month or "07", day or "01"), days)
    if moved is None:
        return None
    digits = f"{moved.year:04}"
    if not month:
        return digits + (zone or "")
    digits += f"{moved.month:02}" + (f"{moved.day:02}" if day else "")
    if time:
        later = shift_tm(time, seconds)
        if later is None:
            return None
        digits += later
    return digits + (zone or "")


def shift_fhir(text: str, days: int) -> str | None:
    """Return a FHIR date, dateTime or instant moved by days; None when it is none.

    A year stays: it says little, and moved by days it would be wrong. A month becomes its
    year, because half-moved it would point back to the true one.
    """
    found = _FHIR.fullmatch(text)
    if not found:
        return None
    year, month, day, time = found.groups()
    if not day:
        return year
    moved = _moved((year, month, day), days)
    if moved is None or (time and not _FHIR_TIME.fullmatch(time)):
        return None
    return moved.isoformat() + (time or "")


def years_between(birth: str, at: str) -> float | None:
    """Return the age at a day in years, from dates whose first digits are YYYY[-MM[-DD]].

    Partial dates count as their middle. None when either cannot be read or age is negative.
    """
    first, last = _day(birth), _day(at)
    if first is None or last is None or last < first:
        return None
    return (last - first).days / DAYS_A_YEAR


def _day(text: str) -> dt.date | None:
    found = re.match(r"(\d{4})(?:-?(\d{2})(?:-?(\d{2}))?)?", text)
    if not found:
        return None
    year, month, day = found.groups()
    return _moved((year, month or "07", day or ("15" if month else "01")), 0)


def _moved(parts: tuple[str | None, ...], days: int) -> dt.date | None:
    year, month, day = (int(part or 1) for part in parts)
    try:
        return shift_day(dt.date(year, month, day), days)
    except ValueError:
        return None
