"""Weeks of pregnancy on a day, from the Observations of a submission. Pure.

Source: LOINC 18185-9 (gestational age), 49051-6 (in weeks), 11884-4 (estimated).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.anonymization import dates

Json = Any

CODES = frozenset(("18185-9", "49051-6", "11884-4"))
WEEKS = range(2, 45)
"""Weeks that are believed."""
_PER_WEEK = {"wk": 1.0, "d": 7.0}
_WEEKS_A_YEAR = dates.DAYS_A_YEAR / 7


def weeks_at(observations: Iterable[Mapping[str, Json]], day: str) -> int | None:
    """Return the whole weeks on `day`, YYYY-MM-DD, by the newest Observation that is not later.

    The time since it was made is added. None: none is dated, in weeks or days, and believable.
    """
    found: tuple[str, int] | None = None
    for each in observations:
        made, quantity = each.get("effectiveDateTime"), each.get("valueQuantity")
        if not isinstance(made, str) or len(made) < 10 or not isinstance(quantity, Mapping):
            continue
        weeks, past = _weeks(quantity), dates.years_between(made[:10], day)
        if weeks is None or past is None:
            continue
        now = int(weeks + past * _WEEKS_A_YEAR)
        if now in WEEKS and (found is None or made > found[0]):
            found = made, now
    return found[1] if found else None


def _weeks(quantity: Mapping[str, Json]) -> float | None:
    per_week = _PER_WEEK.get(str(quantity.get("code") or quantity.get("unit")))
    try:
        number = float(str(quantity.get("value")))
    except ValueError:
        return None
    return number / per_week if per_week and number >= 0 else None
