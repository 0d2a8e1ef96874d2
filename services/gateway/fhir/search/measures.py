"""Quantities and numbers of a resource as ranges with their units. Pure.

Source: FHIR R4, search.html 3.1.1.4.5 (number), 3.1.1.4.11 (quantity); datatypes.html, Quantity,
Money, Range, SampledData.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from services.gateway.fhir.search.ranges import HIGHEST, LOWEST, Range, number_of, ordered

NUMBER_MAX = Decimal("1e300")
"""Larger numbers are not indexed."""
SAMPLES_MAX = 1 << 16
"""Characters of a series of samples that are looked at."""


class Measure(NamedTuple):
    """A quantity: its range in the order of `ranges.ordered`, and its unit."""

    low: int
    high: int
    system: str = ""
    code: str = ""
    unit: str = ""


def _place(element: Any) -> int | None:
    if isinstance(element, int | float | Decimal) and not isinstance(element, bool):
        return ordered(element) if -NUMBER_MAX < element < NUMBER_MAX else None
    found = number_of(element) if isinstance(element, str) else None
    return None if found is None else ordered(found)


def numbers(element: Any) -> Iterator[Range]:
    """Yield the range of a number, or of a quantity as a number."""
    if isinstance(element, dict):
        for measure in measures(element, "Range" if _is_range(element) else "Quantity"):
            yield Range(measure.low, measure.high)
    elif (place := _place(element)) is not None:
        yield Range(place, place)


def _is_range(element: Mapping[str, Any]) -> bool:
    return "low" in element or "high" in element


def measures(element: Any, kind: str) -> Iterator[Measure]:
    """Yield what a Quantity, Money, Range or SampledData measures."""
    if not isinstance(element, dict):
        if (place := _place(element)) is not None:
            yield Measure(place, place)
    elif kind == "Range" or _is_range(element):
        low, high = element.get("low"), element.get("high")
        low, high = (part if isinstance(part, dict) else {} for part in (low, high))
        ends = (_place(low.get("value")), _place(high.get("value")))
        if ends != (None, None):
            first = LOWEST if ends[0] is None else ends[0]
            last = HIGHEST if ends[1] is None else ends[1]
            yield Measure(first, last, *_unit(low or high))
    elif kind == "SampledData":
        yield from _samples(element)
    elif (place := _place(element.get("value"))) is not None:
        yield Measure(*_compared(place, element.get("comparator")), *_unit(element))


def _compared(place: int, comparator: Any) -> tuple[int, int]:
    """Return the range of a quantity that says it is less or more than its number."""
    return {
        "<": (LOWEST, place - 1),
        "<=": (LOWEST, place),
        ">": (place + 1, HIGHEST),
        ">=": (place, HIGHEST),
    }.get(comparator if isinstance(comparator, str) else "", (place, place))


def _unit(element: Mapping[str, Any]) -> tuple[str, str, str]:
    if "currency" in element:
        code = element["currency"]
        return ("urn:iso:std:iso:4217", code, "") if isinstance(code, str) else ("", "", "")
    parts = [element.get(name) for name in ("system", "code", "unit")]
    system, code, unit = (part if isinstance(part, str) else "" for part in parts)
    return system, code, unit


def _samples(element: Mapping[str, Any]) -> Iterator[Measure]:
    """Yield the range of a series of samples: origin + factor × each number."""
    origin = element.get("origin")
    data, factor = element.get("data"), element.get("factor", 1)
    if not isinstance(origin, dict) or not isinstance(data, str):
        return
    numbers = [number for text in data[:SAMPLES_MAX].split(" ") if (number := number_of(text))]
    if numbers and isinstance(factor, int | float | Decimal):
        start = origin.get("value", 0)
        start = Decimal(str(start)) if isinstance(start, int | float | Decimal) else Decimal(0)
        ends = sorted(start + Decimal(str(factor)) * n for n in (min(numbers), max(numbers)))
        yield Measure(ordered(ends[0]), ordered(ends[1]), *_unit(origin))
