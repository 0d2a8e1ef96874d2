"""Values that no person has: refused, and asked about when another usual unit explains them.

The limits of an analyte (`least`, `most` in data/analytes.tsv) are far outside what any illness
does, and are this project's own: no source lists them. A value of 88 mmol/L creatinine is beyond
them, and in umol/L it would be usual: then the laboratory has to be asked which of the two it is.
"""

from __future__ import annotations

from decimal import Decimal

from services.labs import analytes, units
from services.labs.analytes import Analyte
from services.labs.range_rows import Range
from services.labs.reading import Kind, Value, show, unit_of
from services.labs.reasons import NotInterpretable, UnitDoubted, UnitImplausible, ValueImpossible

CRITICAL_NEAR = Decimal("2.5")
"""Within this factor of its limit a critical value in canonical unit is undoubted; our choice."""
FACTOR_LEAST = Decimal(4)
"""Units nearer than this cannot explain a value beyond the limits, which are wider apart."""


def check(value: Value, analyte: Analyte) -> None:
    """Refuse a value that no person has.

    Raises
    ------
    UnitImplausible
        It would be believed in another unit that laboratories report this analyte in.
    ValueImpossible
        It would not be believed in any.
    """
    least, most = analyte.least, analyte.most
    if least is None and most is None:
        return
    if value.interval is None:
        number = value.canonical
        if (least is None or number >= least) and (most is None or number <= most):
            return
    elif value.interval.overlaps(least, most):
        return
    unit = unit_of(value.quantity)
    stated = unit.ucum if unit else ""
    factor = value.canonical / value.quantity.number if value.quantity.number else Decimal(1)
    for ucum in analyte.usual:
        other = _factor(ucum, analyte)
        if other is None or not other or not _apart(other, factor):
            continue
        reading = value.quantity.number * other
        within = (least is None or reading >= least) and (most is None or reading <= most)
        if value.kind is Kind.NUMBER and within:
            digits = len(value.quantity.number.as_tuple().digits)
            raise UnitImplausible(
                "the value cannot be in the unit that is stated",
                stated=f"{value.quantity.written} {stated} = {value.shown} {analyte.unit.ucum}",
                perhaps=f"{value.quantity.written} {ucum} = {show(reading, digits)} "
                f"{analyte.unit.ucum}",
            )
    low, high = ("" if end is None else f"{end:f}" for end in (least, most))
    raise ValueImpossible("no person has this value", low=low, high=high, unit=analyte.unit.ucum)


def doubted(
    value: Value, analyte: Analyte, limits: Range, critical: tuple[Decimal | None, Decimal | None]
) -> UnitDoubted | None:
    """Return a remark on a value that another usual unit would bring within its range.

    12.5 g/L haemoglobin is critical, and 12.5 g/dL is that of a healthy person. A value in the
    canonical unit that is not far beyond its `critical` limit (low, high) is what illness does:
    lactate of 4.8 mmol/L would be normal in mg/dL, and nobody needs to ask.
    """
    if value.kind is not Kind.NUMBER or not value.quantity.number:
        return None
    low, high = critical
    unit = unit_of(value.quantity)
    own = unit is not None and unit.ucum == analyte.unit.ucum
    near = (low is not None and low / CRITICAL_NEAR < value.canonical <= low) or (
        high is not None and high <= value.canonical < high * CRITICAL_NEAR
    )
    if own and near:
        return None
    if not limits.low or limits.high is None:  # within one limit lies too much to tell
        return None
    number = value.quantity.number
    factor = value.canonical / number
    for ucum in analyte.usual:
        other = _factor(ucum, analyte)
        if other and _apart(other, factor) and not limits.side(number * other):
            shown = show(number * other, len(number.as_tuple().digits))
            perhaps = f"{value.quantity.written} {ucum} = {shown} {analyte.unit.ucum}"
            return UnitDoubted("another usual unit would bring it within range", perhaps=perhaps)
    return None


def _apart(one: Decimal, other: Decimal) -> bool:
    larger, smaller = max(one, other), min(one, other)
    return not smaller or larger / smaller >= FACTOR_LEAST


def _factor(ucum: str, analyte: Analyte) -> Decimal | None:
    """Return the factor of a usual unit to the canonical one; None: it does not convert."""
    try:
        code = analytes.code_for(analyte, units.read(ucum))
        return analytes.factor(units.read(ucum), code) if code else None
    except NotInterpretable:
        return None
