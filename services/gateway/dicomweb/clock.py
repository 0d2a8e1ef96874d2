"""Dates and times of day of the analysis zone made true again. Pure.

Anonymization moves days whole and times of day later by a number of seconds that is the
patient's; in the day's last hour it compresses them, so that none passes midnight. The way
back is exact to the millisecond, and to 1 µs where more digits were sent. Minutes come back as
minutes; of an hour alone (HH) they are 00, because the way there tells it no more.

Source: DICOM PS3.5 6.2 (DA, TM, DT); `services/anonymization/dates.py` for the way there.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

DUMMY_DAY = "19000101"
"""What anonymization writes where a date must be and none may stay."""
DAY_US = 86_400_000_000
EDGE_US = 3_600_000_000
"""Length of the day's end in which times were compressed."""
EDGE_S = 3_600
STEPS_US = (1_000_000, 100_000, 10_000, 1_000)
"""Seconds and their tenths to thousandths: what scanners write."""

_TM = re.compile(r"(\d{2})(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?")
_DT = re.compile(r"(\d{8})([\d.]*)([+-]\d{4})?")


def to_true_datetime(text: str, days: int, shift_s: int) -> str:
    """Return DA or DT moved back; a dummy or a partial date stays as it is."""
    found = _DT.fullmatch(text.strip())
    if not found or found[1] == DUMMY_DAY:
        return text
    digits, time, zone = found.groups()
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return text
    return f"{day.year:04}{day:%m%d}{to_true_time(time, shift_s)}{zone or ''}"


def to_true_time(text: str, shift_s: int) -> str:
    """Return TM moved back; what was not moved, such as a dummy, stays as it is.

    Parameters
    ----------
    shift_s : seconds by which it stands late, 0 to 1800; 0: not known, nothing is moved
    """
    found = _TM.fullmatch(text.strip())
    if not found or not 0 < shift_s < EDGE_S:
        return text
    hour, minute, second, fraction = found.groups()
    at = (int(hour) * 3600 + int(minute) * 60 + int(second or 0)) * 1_000_000
    at += int((fraction or "").ljust(6, "0"))
    # A time without seconds was cut down to its minute after it was moved.
    shift = shift_s if second else shift_s // 60 * 60
    if at < shift * 1_000_000:
        return text
    if second and at >= DAY_US - EDGE_US + shift_s * 1_000_000:
        if fraction:
            return _written(_decompressed(at, shift_s), seconds=True, fraction="short")
        minute_us = 60_000_000  # whole seconds: minutes were sent
        back = round(_decompressed(at, shift_s) / minute_us) * minute_us
        return _written(min(back, DAY_US - minute_us), seconds=False, fraction="")
    back = at - shift * 1_000_000
    return _written(back, seconds=bool(second), fraction="full" if fraction else "")


def _decompressed(at: int, shift_s: int) -> int:
    """Return a time of the day's last hour, µs; rounding on the way there is taken back."""
    back = round((EDGE_S * at - shift_s * DAY_US) / (EDGE_S - shift_s))
    for step in STEPS_US:
        near = round(back / step) * step
        if near < DAY_US and abs(near - back) <= 1:
            return near
    return min(back, DAY_US - 1)


def _written(at: int, *, seconds: bool, fraction: str) -> str:
    whole, part = divmod(at, 1_000_000)
    digits = f"{whole // 3600:02}{whole % 3600 // 60:02}"
    if seconds:
        digits += f"{whole % 60:02}"
    if fraction == "full":
        return f"{digits}.{part:06}"
    return f"{digits}.{part:06}".rstrip("0") if fraction and part else digits
