"""Values stated by hand or by a caller: read, and converted where that is certain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from services.kernel.errors import InvalidInput, Violation
from services.labs import units
from services.labs.panel import AGE_YEARS_MAX, Subject
from services.labs.reasons import NotInterpretable
from services.labs.scores.catalogue import converted
from services.labs.scores.facts import celsius, time_of
from services.labs.scores.inputs import CELSIUS, QUALITIES
from services.labs.scores.model import Fact, Kind, Quality

YES = frozenset({"yes", "y", "true", "1", "是", "有"})
NO = frozenset({"no", "n", "false", "0", "否", "无"})
SEXES = {
    "male": "male",
    "m": "male",
    "男": "male",
    "female": "female",
    "f": "female",
    "女": "female",
}
STATED_MAX = 200
"""Values that one call may state."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One value as it was stated; an empty unit means the input's own."""

    name: str
    value: str
    unit: str = ""
    effective: str = ""


def read(items: Iterable[Stated], subject: Subject) -> tuple[Subject, dict[str, Fact]]:
    """Return the person and the facts that the values state.

    Raises
    ------
    InvalidInput
        Names each value that cannot be read, and why; values are not quoted.
    """
    facts: dict[str, Fact] = {}
    problems: list[Violation] = []
    for number, item in enumerate(items, 1):
        if number > STATED_MAX:
            raise InvalidInput(f"at most {STATED_MAX} values can be stated")
        try:
            if item.name in ("age", "sex", "pregnant"):
                subject = _person(item, subject)
            elif item.name in QUALITIES:
                facts[item.name] = _fact(item, QUALITIES[item.name])
            else:
                raise ValueError("there is no such input; `dxmesh scores show` lists them")
        except NotInterpretable as error:
            problems.append(Violation(item.name, error.message))
        except ValueError as error:
            problems.append(Violation(item.name, str(error)))
    if problems:
        raise InvalidInput("some values cannot be read", problems)
    return subject, facts


def _person(item: Stated, subject: Subject) -> Subject:
    if item.name == "age":
        years = _number(item.value)
        if not 0 <= years <= AGE_YEARS_MAX:
            raise ValueError(f"an age is 0 to {AGE_YEARS_MAX} years")
        return replace(subject, age_years=float(years))
    if item.name == "sex":
        sex = SEXES.get(item.value.strip().lower())
        if sex is None:
            raise ValueError("the sex is male or female")
        return replace(subject, sex=sex)
    return replace(subject, pregnant=_yes(item.value))


def _fact(item: Stated, quality: Quality) -> Fact:
    time = time_of(item.effective)
    if item.effective and time is None:
        raise ValueError("the time is not a FHIR date or time")
    if quality.kind is Kind.ITEM:
        answer = _yes(item.value)
        shown = "yes" if answer else "no"
        return Fact(float(answer), shown, None, "", item.effective, time)
    number = _number(item.value)
    if quality.kind is Kind.GRADE:
        if number != int(number) or not quality.low <= number <= quality.high:
            raise ValueError(f"it is a whole number, {quality.low:g} to {quality.high:g}")
        return Fact(float(number), f"{int(number)}", None, "", item.effective, time)
    written = item.value.strip()
    if quality.unit is CELSIUS:
        value = celsius(float(number), item.unit or CELSIUS.ucum)
        if value is None:
            raise ValueError("the unit is Cel or [degF]")
        shown = written if value == float(number) else f"{value:.1f}"
        return Fact(value, shown, CELSIUS, "", item.effective, time)
    unit = units.read(item.unit) if item.unit else quality.unit
    if unit is not None:
        unit = units.as_enzyme(unit) if quality.unit and quality.unit.ucum == "U/L" else unit
        converted(quality, unit)  # refuses a unit that measures something else
    return Fact(float(number), written, unit, "", item.effective, time)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("it is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 15:
        raise ValueError("it is not a number a measurement can have")
    return number


def _yes(text: str) -> bool:
    plain = text.strip().lower()
    if plain in YES or plain in NO:
        return plain in YES
    raise ValueError("it is yes or no")
