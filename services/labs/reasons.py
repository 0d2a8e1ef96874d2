"""Why a result, a score or a unit is not interpreted: one type per reason.

A reason's code is its class name in upper case. Messages and facts quote neither values nor
free text: those may hold anything, and stay in the result's own fields.
"""

from __future__ import annotations

from services.kernel.errors import MeshError


class NotInterpretable(MeshError):
    """The result is kept as it came; the reason says why nothing more is said of it."""

    issue = "not-supported"
    grpc_status = "INVALID_ARGUMENT"


class NotFinal(NotInterpretable):
    """The Observation's status says that its value does not count."""

    def __init__(self, status: str) -> None:
        known = status if status in STATUSES else "unknown"
        super().__init__(
            f"the status of the observation is {known}",
            reason=f"STATUS_{known.upper().replace('-', '_')}",
        )


STATUSES = frozenset({"registered", "cancelled", "entered-in-error", "unknown"})


class UnknownCode(NotInterpretable):
    """No code or name of the dictionary is given; `nearest_1` to `nearest_3` are the nearest.

    AMBIGUOUS_ANALYTE: several entries have the name.
    """


UNMAPPED = frozenset({"UNKNOWN_CODE", "AMBIGUOUS_ANALYTE"})
"""Reasons of a result whose analyte a table of the tenant could name."""


class CodeConflict(NotInterpretable):
    """Its LOINC codes name different analytes."""


class NotOfLaboratory(NotInterpretable):
    """No laboratory made it: a vital sign, examination or social history."""


class NoValue(NotInterpretable):
    """There is no value."""


class Panel(NotInterpretable):
    """It holds no value of its own; its members are listed on their own."""


class ValueNotNumeric(NotInterpretable):
    """The value is a text, a code or another kind that is not one number."""


class AnswerNotRead(NotInterpretable):
    """The answer of an ordinal test is not one of the known spellings."""


class SpecimenUnusable(NotInterpretable):
    """Instead of a value stands that the specimen was haemolysed, clotted, too little …"""


class AnswerPending(NotInterpretable):
    """The answer says that it is to be repeated or confirmed."""


class ValueHasComparator(NotInterpretable):
    """The value is a limit (<, >), not a measurement: a score cannot be computed from it."""


class FlagNotDeterminable(NotInterpretable):
    """The value is a limit or a range, and on which side of the reference range is not certain."""


class ValueImpossible(NotInterpretable):
    """No person can have the value; `low` and `high` are what is believed."""


class UnitImplausible(NotInterpretable):
    """The value cannot be in the unit that is stated, and can in another usual one.

    `stated` and `perhaps` are the two readings; somebody has to ask the laboratory.
    """


class NegativeValue(NotInterpretable):
    """The analyte cannot be negative."""


class ValueOutOfScale(NotInterpretable):
    """The number has more digits or a larger exponent than any measurement."""


class MissingUnit(NotInterpretable):
    """The value has no unit."""


class UnknownUnit(NotInterpretable):
    """The unit is not UCUM and not a known spelling."""


class UnitConflict(NotInterpretable):
    """The unit's text and its code mean different units."""


class WrongDimension(NotInterpretable):
    """The unit measures another property than the code names."""


class NoConversion(NotInterpretable):
    """No conversion to the canonical unit is defined for this analyte."""


class NoRange(NotInterpretable):
    """Neither the laboratory nor the built-in table has a range for this person.

    The reason says what is missing: NO_RANGE, AGE_UNKNOWN, NO_RANGE_FOR_AGE,
    NO_RANGE_FOR_SEX, NO_RANGE_IN_PREGNANCY.
    """


class Remark(MeshError):
    """What a reader should know of a result although it is interpreted."""


class ResultInFuture(Remark):
    """It is dated after it was received: scores and rules leave it out."""


class UnitDoubted(Remark):
    """It is critical, and in another usual unit would be within its range: `perhaps`."""


class CriticalNotExcluded(Remark):
    """The value is a limit or a range, part of which lies beyond a critical limit."""


class NewerResultKnown(Remark):
    """It came after a newer result of the same analyte, which was not compared with it."""
