"""A circuit breaker: a server that fails is left alone for a while. Its caller has the clock."""

from __future__ import annotations

FAILURES_MAX = 3
"""Failures in a row after which nothing is asked for a while."""

PAUSE_S, PAUSE_MAX_S = 5.0, 60.0
"""First pause, doubled each time the one try after it fails too, up to the second."""


class Breaker:
    """Says whether to ask now. After a pause one try goes through; the others go on waiting."""

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self._until = 0.0
        self._pause = PAUSE_S

    def wait_s(self, now_s: float) -> float:
        """Return 0 to go ahead, else the seconds until the next try.

        Whoever is let through after a pause must report `succeeded` or `failed`; until
        then others are told to wait.
        """
        if self.failures < FAILURES_MAX:
            return 0.0
        if now_s >= self._until:
            self._until = now_s + self._pause
            return 0.0
        return self._until - now_s

    def succeeded(self) -> None:
        """Close it: the server answers."""
        self.failures = 0
        self._pause = PAUSE_S

    def failed(self, now_s: float) -> None:
        """Count a failure; from the third on, nothing is asked until the pause is over."""
        self.failures += 1
        if self.failures < FAILURES_MAX:
            return
        if self.failures > FAILURES_MAX:
            self._pause = min(2 * self._pause, PAUSE_MAX_S)
        self._until = now_s + self._pause
