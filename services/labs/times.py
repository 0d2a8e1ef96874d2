"""Times of results, as FHIR writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=4096)
def moment(effective: str) -> datetime | None:
    """Return a FHIR date or time as UTC, a date as the beginning of its day; None: it is none."""
    try:
        time = datetime.fromisoformat(effective)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def seconds(effective: str) -> float | None:
    """Return the same as seconds since 1970 UTC; None: it is no time."""
    time = moment(effective)
    return time.timestamp() if time else None
