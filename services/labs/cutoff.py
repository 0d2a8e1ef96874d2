"""Ordinal tests that come as the ratio of signal to cut-off: 15.6 S/CO, 0.05 COI.

From 1 on a sample is reactive; just below, some makers call it borderline. Tests in which the
antibody of the sample competes with that of the reagent go the other way on some analysers, so
they are read by the laboratory's own range alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from services.labs import ranges
from services.labs.interval import Interval, beyond
from services.labs.lenient import text_of
from services.labs.panel import Measured, Quantity, quantity_of
from services.labs.qualitative import Answer, Reading, Test

UNITS = frozenset({"sco", "coi", "sc", "cutoffindex", "index", "soverco"})
"""As letters alone, in lower case."""
COMPETITIVE = frozenset({"anti-hbc", "anti-hbe", "anti-hav"})
CUTOFF, BORDERLINE = Decimal(1), Decimal("0.9")
UNIT_MAX = 16
_NO_LETTER = re.compile("[^a-z]")


def is_ratio(quantity: Quantity | None) -> bool:
    """Tell whether a quantity is stated as a ratio to the cut-off."""
    return quantity is not None and _of_cutoff(quantity.unit or quantity.code)


@lru_cache(maxsize=512)
def _of_cutoff(unit: str) -> bool:
    return 0 < len(unit) < UNIT_MAX and _NO_LETTER.sub("", unit.casefold()) in UNITS


def read(item: Measured, test: Test | None) -> Reading | None:
    """Return what a ratio to the cut-off answers; None: it is none, or that is not certain."""
    quantity = item.quantity
    if quantity is None or test is None or item.high or not quantity.in_scale:
        return None
    if not is_ratio(quantity):
        return None
    number = quantity.number
    found = Interval(number, number)
    if quantity.comparator:
        found = beyond(quantity.comparator, number, can_be_negative=False)
    if test.expected_negative and (own := _own(item)):
        side = found.side(*own)
        return None if side is None else Reading(Answer.POSITIVE if side else Answer.NEGATIVE)
    if test.analyte_id in COMPETITIVE:
        return None
    side = found.side(BORDERLINE, CUTOFF, False, True)
    answers = {1: Answer.POSITIVE, 0: Answer.BORDERLINE, -1: Answer.NEGATIVE}
    return None if side is None else Reading(answers[side])


def _own(item: Measured) -> tuple[Decimal | None, Decimal | None, bool, bool] | None:
    """Return the ends of the laboratory's own range, and whether each is outside."""
    if len(item.ranges) != 1:
        return None
    entry: Mapping[str, Any] = item.ranges[0]
    low, high = (quantity_of(entry.get(end)) for end in ("low", "high"))
    is_open = [False, False]
    if low is None and high is None:
        (low, high), is_open = ranges.of_text(text_of(entry.get("text")))
    ends = tuple(end.number if end else None for end in (low, high))
    return None if ends == (None, None) else (ends[0], ends[1], is_open[0], is_open[1])
