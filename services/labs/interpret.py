"""A result as it came and as it was understood: canonical value, range, flag, or the reason.

Every item of a labs part comes back exactly once, in order. What cannot be interpreted keeps
its value as it came and carries the reason; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

from services.labs import analytes, critical, qualitative, ranges, reasons, units
from services.labs.analytes import Analyte, Code
from services.labs.panel import Measured, Quantity, Subject
from services.labs.reasons import NotInterpretable

DIGITS_SHOWN = 4
"""A converted value shows at least this many significant digits, and one more than it had."""


class Flag(Enum):
    """HL7 v3 ObservationInterpretation codes."""

    NORMAL = "N"
    LOW = "L"
    HIGH = "H"
    CRITICAL_LOW = "LL"
    CRITICAL_HIGH = "HH"
    ABNORMAL = "A"


_FLAGS = {-1: Flag.LOW, 0: Flag.NORMAL, 1: Flag.HIGH}


@dataclass(frozen=True, slots=True)
class Result:
    """One item of the part, interpreted as far as it can be."""

    measured: Measured
    code: Code | None = None
    canonical: Decimal | None = None
    """Exact value in the analyte's canonical unit."""
    shown: str = ""
    """The same for a reader, rounded to the precision it came with."""
    range: ranges.Range | None = None
    flag: Flag | None = None
    critical_source: str = ""
    reason: NotInterpretable | None = None
    """Why it has no flag; None when it has one, or when neither answer of a test is abnormal."""
    test: qualitative.Test | None = None
    """The ordinal test, when it is one."""
    answer: qualitative.Reading | None = None
    """What an ordinal test says."""

    @property
    def name(self) -> str:
        """Id of the analyte or of the ordinal test; empty when the code is not known."""
        if self.code:
            return self.code.analyte.analyte_id
        return self.test.analyte_id if self.test else ""

    @property
    def analyte(self) -> Analyte | None:
        """What was measured, when the code is known."""
        return self.code.analyte if self.code else None

    @property
    def critical(self) -> bool:
        """Whether the value is beyond a critical limit."""
        return self.flag in (Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH)


def interpret(
    items: Sequence[Measured], subject: Subject, table: critical.Table = critical.DEFAULTS
) -> list[Result]:
    """Return one result per item, in order."""
    return [_interpret(item, subject, table) for item in items]


def _interpret(item: Measured, subject: Subject, table: critical.Table) -> Result:
    code, value, shown = None, None, ""
    try:
        if item.status in reasons.STATUSES or not item.status:
            raise reasons.NotFinal(item.status)
        if item.panel:
            raise reasons.Panel("it groups other results")
        if test := _test(item.loinc):
            return _answered(Result(item, test=test), test)
        code = _code(item.loinc)
        quantity = _number(item, code.analyte)
        value, shown = _canonical(quantity, code)
        found, missing = _range(item, quantity, code, subject)
    except NotInterpretable as reason:
        return Result(item, code, value, shown, reason=reason)
    limits = critical.limits_for(code.analyte.analyte_id, subject, table)
    if limits and (side := _beyond(value, limits.low, limits.high)):
        flag = Flag.CRITICAL_LOW if side < 0 else Flag.CRITICAL_HIGH
        return Result(item, code, value, shown, found, flag, limits.source)
    if found is None:
        return Result(item, code, value, shown, reason=missing)
    return Result(item, code, value, shown, found, _FLAGS[_beyond(value, found.low, found.high)])


def _test(loinc: Sequence[str]) -> qualitative.Test | None:
    """Return the ordinal test that the codes name; None: they name none, or an analyte too."""
    if any(each in analytes.CODES for each in loinc):
        return None
    found = {qualitative.TESTS[each] for each in loinc if each in qualitative.TESTS}
    if len({test.analyte_id for test in found}) > 1:
        raise reasons.CodeConflict("the LOINC codes name different tests")
    return found.pop() if found else None


def _answered(result: Result, test: qualitative.Test) -> Result:
    """Return the result of an ordinal test with its answer; `A` when a healthy person has none."""
    if result.measured.quantity is not None:
        return replace(result, reason=reasons.AnswerNotRead("a number, where an answer is due"))
    if not result.measured.text:
        return replace(result, reason=reasons.NoValue("there is no value"))
    answer = qualitative.read(result.measured.text)
    if answer is None:
        return replace(result, reason=reasons.AnswerNotRead("the answer is not a known spelling"))
    flag = None
    if test.expected_negative:
        negative = answer.answer is qualitative.Answer.NEGATIVE
        flag = Flag.NORMAL if negative else Flag.ABNORMAL
    return replace(result, answer=answer, flag=flag)


def _code(loinc: Sequence[str]) -> Code:
    known = [analytes.CODES[each] for each in loinc if each in analytes.CODES]
    if not known:
        raise reasons.UnknownCode("no LOINC code of the dictionary is given")
    if len({(code.analyte.analyte_id, code.unit.property) for code in known}) > 1:
        raise reasons.CodeConflict("the LOINC codes name different analytes or properties")
    return known[0]


def _number(item: Measured, analyte: Analyte) -> Quantity:
    quantity = item.quantity
    if quantity is None:
        if item.text:
            raise reasons.ValueNotNumeric("the value is not one number")
        raise reasons.NoValue("there is no value")
    if quantity.comparator:
        raise reasons.ValueHasComparator("the value is a limit, not a measurement")
    if not quantity.in_scale:
        raise reasons.ValueOutOfScale("the number is longer than any measurement")
    if quantity.number < 0 and not analyte.can_be_negative:
        raise reasons.NegativeValue("the analyte cannot be negative")
    return quantity


def _canonical(quantity: Quantity, code: Code) -> tuple[Decimal, str]:
    """Return the exact canonical value and the text that shows it."""
    unit = unit_of(quantity)
    if unit is None:
        if not analytes.without_unit(code):
            raise reasons.MissingUnit("the value has no unit")
        return quantity.number, quantity.written
    factor = analytes.factor(unit, code)
    if factor == 1:
        return quantity.number, quantity.written
    value = quantity.number * factor
    return value, show(value, len(quantity.number.as_tuple().digits))


def unit_of(quantity: Quantity) -> units.Unit | None:
    """Return the unit of a quantity: its code, confirmed by its text; None when it has none.

    Raises
    ------
    UnknownUnit
        Neither code nor text is a unit.
    UnitConflict
        Both are, and they differ.
    """
    read: list[units.Unit] = []
    refused: NotInterpretable | None = None
    for text in (quantity.code.strip(), quantity.unit.strip()):
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
    keep = max(digits + 1, DIGITS_SHOWN)
    rounded = round(value, keep - 1 - value.adjusted()) if value else value
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _range(
    item: Measured, quantity: Quantity, code: Code, subject: Subject
) -> tuple[ranges.Range | None, reasons.NoRange | None]:
    """Return the laboratory's range, else the built-in one, else why there is none."""
    if own := ranges.own(item.ranges, quantity, code, subject):
        return own, None
    try:
        return ranges.built_in(code.analyte, subject), None
    except reasons.NoRange as missing:
        return None, missing


def _beyond(value: Decimal, low: Decimal | None, high: Decimal | None) -> int:
    """Return -1 below low, 1 above high, else 0."""
    if low is not None and value < low:
        return -1
    return 1 if high is not None and value > high else 0
