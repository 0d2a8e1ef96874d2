"""The laboratory's own flag, where nothing here says whether a result is normal.

A result that the laboratory marks as high must not look unmarked because its analyte, range or
answer is not known here. HH and LL are told as high and low: critical is what the hospital's table
of critical limits says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from services.labs import reasons
from services.labs.result import Flag, Result

SOURCE = "the laboratory's own flag"
_FLAGS: Mapping[str, Flag] = MappingProxyType(
    {
        **dict.fromkeys(("H", "HH", "HU", "H>", ">"), Flag.HIGH),
        **dict.fromkeys(("L", "LL", "LU", "L<", "<"), Flag.LOW),
        **dict.fromkeys(("A", "AA", "POS", "DET", "RR", "WR"), Flag.ABNORMAL),
        "N": Flag.NORMAL,
    }
)
"""HL7 v3 ObservationInterpretation, without what says nothing of normal or not (R, S, NEG …)."""
_EXPLAINED = (reasons.NoRange, reasons.FlagNotDeterminable)
_STANDS_BESIDE = (
    *(reasons.AnswerNotRead, reasons.ValueNotNumeric, reasons.UnknownCode, reasons.MissingUnit),
    *(reasons.UnknownUnit, reasons.NoConversion, reasons.WrongDimension),
)


def taken(result: Result) -> Result:
    """Return a result with the laboratory's flag, when it has none and one is stated."""
    found = {_FLAGS[each] for each in result.measured.flagged if each in _FLAGS}
    if result.flag is not None or len(found) != 1:
        return result
    if isinstance(result.reason, _EXPLAINED):
        return replace(result, flag=found.pop(), reason=None, by_laboratory=True)
    if isinstance(result.reason, _STANDS_BESIDE):
        return replace(result, flag=found.pop(), by_laboratory=True)
    return result
