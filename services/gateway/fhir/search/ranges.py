"""Dates, numbers and their precision as ranges of whole numbers. Pure.

A date is the microseconds it covers, first and last. A number is where its nearest binary64
stands in the order of all of them, so that the database compares whole numbers in both cases
and two decimals of at most 15 digits never coincide.

Source: FHIR R4, search.html 3.1.1.4.4 (prefixes), 3.1.1.4.5 (number), 3.1.1.4.6 (date);
datatypes.html, date, dateTime, instant.
"""

from __future__ import annotations

import re
import struct
from datetime import date
from decimal import Decimal
from typing import NamedTuple

HIGHEST = (1 << 63) - 1
LOWEST = -HIGHEST
"""Ends of a range that is open."""
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"(Z|[+\- ]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?\d{1,60}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


class Range(NamedTuple):
    """First and last value, both within."""

    low: int
    high: int


class Bounds(NamedTuple):
    """What the ends of a range must keep to."""

    low_min: int = LOWEST
    low_max: int = HIGHEST
    high_min: int = LOWEST
    high_max: int = HIGHEST

    def hold(self, found: Range) -> bool:
        """Tell whether a range keeps to them."""
        return (
            self.low_min <= found[0] <= self.low_max and self.high_min <= found[1] <= self.high_max
        )


def date_range(text: str) -> Range | None:
    """Return the microseconds a date or time covers; None when it is neither.

    Without a time zone it is taken as UTC. A leap second counts as the last of its minute.
    """
    found = _DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH
    except ValueError:
        return None
    low = first * DAY_US
    if hour is None:
        return Range(low, low + _days(int(year), month, day) * DAY_US - 1)
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        return None
    low += (int(hour) * 60 + int(minute)) * 60_000_000 - _offset_us(zone)
    if second is None:
        return Range(low, low + 59_999_999)
    low += min(int(second), 59) * 1_000_000
    if fraction is None:
        return Range(low, low + 999_999)
    digits = fraction[:6]
    step = int(10 ** (6 - len(digits)))
    low += int(digits) * step
    return Range(low, low + step - 1)


def _days(year: int, month: str | None, day: str | None) -> int:
    if day:
        return 1
    if month is None:
        return 366 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 365
    return _month_days(year, int(month))


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if _days(year, None, None) == 366 else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _offset_us(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return (-minutes if zone[0] == "-" else minutes) * 60_000_000


def ordered(value: Decimal | float) -> int:
    """Return a whole number that stands among others as the nearest binary64 does."""
    number = float(value) + 0.0
    (bits,) = struct.unpack(">q", struct.pack(">d", number))
    return int(bits) if bits >= 0 else -(int(bits) & HIGHEST)


def number_of(text: str) -> Decimal | None:
    """Return a decimal; None when it is none, or too long or large to be one."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def implied_range(text: str, value: Decimal) -> Range:
    """Return the numbers that a written number means: half a unit of its last digit around it.

    The upper end is not within. In exponent form R4's own examples are followed: 1e2 is 95 to
    105, and 5.40e-3 is 0.0054 ± 0.00005.
    """
    exponent = int(value.as_tuple().exponent)
    if "e" in text.lower():
        exponent = exponent - 1 if exponent > 0 else _without_zeros(value)
    half = Decimal((0, (5,), exponent - 1))
    return Range(ordered(value - half), ordered(value + half) - 1)


def _without_zeros(value: Decimal) -> int:
    return min(0, int(value.normalize().as_tuple().exponent)) if value else 0


def compare(prefix: str, sought: Range, near: Range) -> tuple[Bounds, ...]:
    """Return bounds, any of which a range must keep to so that a prefix holds.

    `sought` is what was asked for, `near` what counts as approximately that.
    """
    low, high = sought
    within = Bounds(low_min=low, low_max=high, high_max=high)
    above, below = Bounds(high_min=high + 1), Bounds(low_max=low - 1)
    return {
        "eq": (within,),
        "ne": (below, above),
        "gt": (above,),
        "lt": (below,),
        "ge": (above, within),
        "le": (below, within),
        "sa": (Bounds(low_min=high + 1),),
        "eb": (Bounds(high_max=low - 1),),
        "ap": (Bounds(low_max=near.high, high_min=near.low),),
    }[prefix]
