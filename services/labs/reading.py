"""The value of a result in its analyte's canonical unit: a number, a limit, a range, a dilution."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache

from services.labs import analytes, interval, qualitative, reasons, specimens, units, values
from services.labs.analytes import Analyte, Code
from services.labs.interval import Interval
from services.labs.panel import Measured, Quantity
from services.labs.reasons import NotInterpretable

DIGITS_SHOWN_MAX = 20
DIGITS_SHOWN = 4
"""A converted value shows at least this many significant digits, and one more than it had."""
TITRE = "{titer}"


class Kind(Enum):
    """What a value is."""

    __hash__ = object.__hash__  # members are single; the hash of their names is slow

    NONE = "none"
    NUMBER = "number"
    LIMIT = "limit"
    RANGE = "range"
    TITRE = "titre"
    ORDINAL = "ordinal"
    CODED = "coded"
    TEXT = "text"


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Value:
    """A value that was understood."""

    quantity: Quantity
    canonical: Decimal
    """Exact, in the canonical unit; the bound of a limit, the lower end of a range."""
    shown: str
    """For a reader, in the canonical unit, with its comparator or both ends."""
    kind: Kind
    interval: Interval | None = None
    """What a limit or a range says of the value, in the canonical unit; None: it is one number."""


class AnswerInstead(Exception):
    """The value of a quantity is an answer, such as not detected."""

    def __init__(self, answer: qualitative.Reading) -> None:
        super().__init__()
        self.answer = answer


def kind_of(item: Measured) -> Kind:
    """Return what a value is, before it is known what was measured."""
    quantity = item.quantity
    if quantity is not None:
        if item.high is not None:
            return Kind.RANGE
        if item.dilution:
            return Kind.TITRE
        return Kind.LIMIT if quantity.comparator else Kind.NUMBER
    if not item.text:
        return Kind.NONE
    if found := values.read(item.text):
        if found.titre:
            return Kind.TITRE
        if found.high is not None:
            return Kind.RANGE
        return Kind.LIMIT if found.comparator else Kind.NUMBER
    if qualitative.read(item.text):
        return Kind.ORDINAL
    return Kind.CODED if item.coded else Kind.TEXT


def value_of(item: Measured, code: Code) -> Value:
    """Return the value of a quantity in its canonical unit.

    Raises
    ------
    AnswerInstead
        It is an answer.
    NotInterpretable
        It is no number, cannot be one, or its unit does not fit.
    """
    quantity, high, dilution = item.quantity, item.high, item.dilution
    if quantity is None:
        if not item.text:
            raise reasons.NoValue("there is no value")
        if (found := values.read(item.text)) is None or found.unit in qualitative.SIGNS:
            if answer := qualitative.read(item.text):
                raise AnswerInstead(answer)
            if specimens.unusable(item.text):
                raise reasons.SpecimenUnusable("the specimen could not be used")
            raise reasons.ValueNotNumeric("the value is not one number")
        quantity = Quantity(found.number, found.written, found.comparator, found.unit)
        dilution = found.titre
        if found.high is not None:
            high = Quantity(found.high, str(found.high), "", found.unit)
    if dilution or code.unit.ucum == TITRE:
        return _titre(quantity, code, dilution=dilution)
    for end in (quantity, high):
        if end is not None:
            _possible(end, code.analyte)
    factor = _factor(quantity, code)
    if high is not None:
        return _range(quantity, high, factor, code)
    value = quantity.number if factor == 1 else quantity.number * factor
    shown = quantity.written
    if factor != 1:
        shown = show(value, len(quantity.number.as_tuple().digits))
    if not quantity.comparator:
        return Value(quantity, value, shown, Kind.NUMBER)
    if quantity.comparator not in ("<", "<=", ">", ">="):
        raise reasons.ValueNotNumeric("the comparator is not one that is known")
    bound = interval.beyond(quantity.comparator, value, code.analyte.can_be_negative)
    return Value(quantity, value, f"{quantity.comparator}{shown}", Kind.LIMIT, bound)


def _range(low: Quantity, high: Quantity, factor: Decimal, code: Code) -> Value:
    other = _factor(high, code) if high.code or high.unit else factor
    ends = low.number * factor, high.number * other
    if low.comparator or high.comparator or ends[0] > ends[1]:
        raise reasons.ValueNotNumeric("the range of values cannot be read")
    digits = len(low.number.as_tuple().digits), len(high.number.as_tuple().digits)
    texts = (
        (low.written, high.written)
        if factor == other == 1
        else (show(ends[0], digits[0]), show(ends[1], digits[1]))
    )
    return Value(low, ends[0], "-".join(texts), Kind.RANGE, Interval(*ends))


def _titre(quantity: Quantity, code: Code, *, dilution: bool) -> Value:
    """Return a dilution as its number: 80 of 1:80."""
    if code.unit.ucum != TITRE:
        raise reasons.ValueNotNumeric("a dilution, where a quantity is due")
    if not dilution and (unit := unit_of(quantity)) and unit.ucum not in (TITRE, "1"):
        raise reasons.WrongDimension("the unit does not measure what the code names")
    _possible(quantity, code.analyte)
    number = quantity.number
    text = f"{quantity.comparator}1:{number.normalize():f}"
    bound = interval.beyond(quantity.comparator, number, False) if quantity.comparator else None
    return Value(quantity, number, text, Kind.TITRE, bound)


def _possible(quantity: Quantity, analyte: Analyte) -> None:
    if not quantity.in_scale:
        raise reasons.ValueOutOfScale("the number is longer than any measurement")
    if quantity.number < 0 and not analyte.can_be_negative:
        raise reasons.NegativeValue("the analyte cannot be negative")


def _factor(quantity: Quantity, code: Code) -> Decimal:
    unit = unit_of(quantity)
    if unit is None:
        if not analytes.without_unit(code):
            raise reasons.MissingUnit("the value has no unit")
        return _ONE
    return analytes.factor(unit, code)


_ONE = Decimal(1)


def unit_of(quantity: Quantity) -> units.Unit | None:
    """Return the unit of a quantity: its code, confirmed by its text; None when it has none.

    Raises
    ------
    UnknownUnit
        Neither code nor text is a unit.
    UnitConflict
        Both are, and they differ.
    """
    return _unit(quantity.code, quantity.unit) if quantity.code or quantity.unit else None


@lru_cache(maxsize=4096)
def _unit(code: str, spelt: str) -> units.Unit | None:
    read: list[units.Unit] = []
    refused: NotInterpretable | None = None
    for text in (code.strip(), spelt.strip()):
        try:
            read += [units.read(text)] if text else []
        except reasons.UnknownUnit as error:
            refused = error
    if not read:
        if refused:
            raise refused
        return None
    if len({units.as_enzyme(unit).property for unit in read}) > 1 or (
        len({unit.factor_to(read[0]) for unit in map(units.as_enzyme, read)}) > 1
    ):
        raise reasons.UnitConflict("the unit's text and its code differ")
    return read[0]


def show(value: Decimal, digits: int) -> str:
    """Return a converted value as plain decimal text; `digits` is what it came with."""
    keep = min(max(digits + 1, DIGITS_SHOWN), DIGITS_SHOWN_MAX)
    rounded = round(value, keep - 1 - value.adjusted()) if value else value
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
