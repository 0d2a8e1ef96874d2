"""What a result says of a value that it does not give: above 6.0, below 0.01, between 3 and 5.

Only what is certain counts: a value above 6.0 is above every limit up to 6.0, and nothing is
known of a limit of 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Interval:
    """The value lies between two ends; None: there is no end on that side."""

    low: Decimal | None
    high: Decimal | None
    low_open: bool = False
    """The value is not the lower end itself."""
    high_open: bool = False
    """The value is not the upper end itself."""

    def times(self, factor: Decimal) -> Interval:
        """Return the interval in another unit; the factor is above 0."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Interval(low, high, self.low_open, self.high_open)

    def side(
        self,
        low: Decimal | None,
        high: Decimal | None,
        low_open: bool = False,
        high_open: bool = False,
    ) -> int | None:
        """Return -1 when it is below low, 1 when above high, 0 when within; None: not certain.

        Limits are within unless they are open, as in `Range`.
        """
        if high is not None and (self._above(high) or (high_open and self._at_least(high))):
            return 1
        if low is not None and (self._below(low) or (low_open and self._at_most(low))):
            return -1
        under = high is None or (self._below(high) if high_open else self._at_most(high))
        over = low is None or (self._above(low) if low_open else self._at_least(low))
        return 0 if under and over else None

    def overlaps(self, low: Decimal | None, high: Decimal | None) -> bool:
        """Tell whether a value of the interval can lie within low and high."""
        over = high is not None and self._above(high)
        return not over and not (low is not None and self._below(low))

    def _above(self, limit: Decimal) -> bool:
        low = self.low
        return low is not None and (low > limit or (low == limit and self.low_open))

    def _below(self, limit: Decimal) -> bool:
        high = self.high
        return high is not None and (high < limit or (high == limit and self.high_open))

    def _at_most(self, limit: Decimal) -> bool:
        return self.high is not None and self.high <= limit

    def _at_least(self, limit: Decimal) -> bool:
        return self.low is not None and self.low >= limit


ZERO = Decimal(0)


def beyond(comparator: str, number: Decimal, can_be_negative: bool) -> Interval:
    """Return what `<`, `<=`, `>` or `>=` with a number says; a negative value may be impossible."""
    if comparator in (">", ">="):
        return Interval(number, None, low_open=comparator == ">")
    return Interval(None if can_be_negative else ZERO, number, high_open=comparator == "<")
