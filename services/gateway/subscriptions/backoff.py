"""When to try again, and what a failure means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

FIRST_S, DOUBLINGS_MAX = 2.0, 16
PASSING = frozenset({408, 425, 429})
"""Client errors that mean "later"."""
ERROR_AFTER = 3
"""Passing failures in a row after which a Subscription is said to be in error."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a notification was not taken."""

    reason: str
    """UPPER_SNAKE_CASE."""
    lasting: bool
    """Whether somebody must do something: it is said at once, and tried again rarely."""
    wait_s: float = 0.0
    """What the endpoint asked to wait."""


def of_status(status: int, retry_after: str, now_s: float) -> Failure | None:
    """Return the failure in an HTTP status; None: the notification was taken.

    A redirect is not followed: the address was checked, where it leads was not.
    """
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Failure("REDIRECTED", lasting=True)
    if status == 410:
        return Failure("ENDPOINT_GONE", lasting=True)
    lasting = 400 <= status < 500 and status not in PASSING
    return Failure(f"HTTP_{status}", lasting, _wait_s(retry_after, now_s))


def wait_s(failures: int, failure: Failure, longest_s: float, chance: float) -> float:
    """Return the seconds until the next attempt.

    Parameters
    ----------
    failures : in a row, this one included
    chance : 0 to 1, drawn anew each time, so that endpoints that went away together do not
        come back together
    """
    doubled = FIRST_S * 2.0 ** min(failures - 1, DOUBLINGS_MAX)
    wait = longest_s if failure.lasting and failures >= ERROR_AFTER else min(doubled, longest_s)
    return max(wait * (0.5 + chance / 2), min(failure.wait_s, longest_s))


def _wait_s(text: str, now_s: float) -> float:
    """Return the seconds in `Retry-After`: a number, or an HTTP date."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError):
        return 0.0
