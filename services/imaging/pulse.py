"""Whether a reading in its thread still moves, and how far it is. Pure; the caller has a clock."""

from __future__ import annotations

from collections.abc import Callable

from services.imaging.series.refusals import SeriesRefused


class ReadingStalled(SeriesRefused):
    """A reading showed no sign of life for too long; the others go on."""


class Stopped(Exception):
    """The reading is not wanted any more; raised inside its thread, never seen outside."""


class Pulse:
    """Shared by a reading's thread and the event loop that waits for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_s = clock()
        self._stopped = False
        self.done = 0.0
        """Share of the work, 0 to 1."""

    def beat(self) -> None:
        """Show life; ends the thread's work where it was stopped.

        Raises
        ------
        Stopped
        """
        if self._stopped:
            raise Stopped
        self._last_s = self._clock()

    def progress(self, share: float) -> None:
        """Show life and how far the work is; see `beat`."""
        self.done = min(max(float(share), self.done), 1.0)
        self.beat()

    def stop(self) -> None:
        """End the work at its next sign of life."""
        self._stopped = True

    def silent_s(self) -> float:
        """Return the seconds since the last sign of life."""
        return self._clock() - self._last_s
