"""Nodule size as the guidelines want it written.

The mean diameter is the mean of the long and the short axis on the same slice. Fleischner 2017
(MacMahon et al., Radiology 2017;284:228; Bankier et al., Radiology 2017;285:584) rounds it to
whole millimetres; Lung-RADS v2022 (ACR) keeps both axes and the mean to one decimal.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def mean_diameter(long_mm: float, short_mm: float) -> float:
    """Return the mean of the two axes, mm, not rounded."""
    return (long_mm + short_mm) / 2


def tenth(mm: float) -> float:
    """Return mm to one decimal, halves up: as Lung-RADS v2022 writes it."""
    return float(_decimal(mm).quantize(Decimal("0.1"), ROUND_HALF_UP))


def lung_rads_mean(long_mm: float, short_mm: float) -> float:
    """Return the mean diameter from axes that were themselves rounded to 0.1 mm."""
    return tenth(mean_diameter(tenth(long_mm), tenth(short_mm)))


def whole(mm: float) -> int:
    """Return whole mm, halves up: as Fleischner 2017 writes it."""
    return int(_decimal(mm).quantize(Decimal("1"), ROUND_HALF_UP))


def _decimal(mm: float) -> Decimal:
    # Six decimals first, so that 5.95 is a half although its double lies below.
    return Decimal(repr(mm)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
