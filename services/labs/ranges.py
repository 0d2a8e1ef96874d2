"""Reference ranges: the laboratory's own first, then the tenant's, then the built-in one.

Own ranges are FHIR `Observation.referenceRange` entries; of several, the one that fits the
person's age and sex, and none when that leaves a choice. A tenant's table and the built-in one
have rows by specimen, sex, age and trimester; see `docs/labs.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from services.labs import analytes, range_rows, units
from services.labs.analytes import Analyte, Code
from services.labs.lenient import codes_of, list_of, mapping_of, text_of
from services.labs.panel import Quantity, Subject, quantity_of
from services.labs.range_rows import Range as Range
from services.labs.range_rows import Table as Table
from services.labs.reasons import NoRange, NotInterpretable

OWN_SOURCE = "the laboratory's own range"
_SEXES = {"male": "male", "M": "male", "female": "female", "F": "female"}
_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_FROM_TO = re.compile(rf"\s*(?P<low>{_NUMBER})\s*(?:[-–—~～]|--)\s*(?P<high>{_NUMBER})\s*")
"""A range written as text, "3.5-5.3"."""
_ONE_END = re.compile(rf"\s*(?P<sign>[<>≤≥＜＞]=?)\s*(?:1\s*[:：∶]\s*)?(?P<end>{_NUMBER})\s*")
"""One end of a range, "<5.0", "≥60" or "<1:80"; any other text is not read."""

BUILT_IN: Table = range_rows.built_in()
"""By analyte id."""


def find(
    value: Quantity,
    code: Code,
    subject: Subject,
    entries: Sequence[Mapping[str, Any]] = (),
    specimen: str = "",
    tenant: Table | None = None,
) -> Range:
    """Return the range that a result is held to.

    Raises
    ------
    NoRange
        Says which of range, age, sex or pregnancy is the reason.
    """
    if entries and (found := own(entries, value, code, subject)):
        return found
    if tenant and (found := range_rows.fitting(tenant, code.analyte, subject, specimen)):
        return found
    return built_in(code.analyte, subject, specimen)


def built_in(analyte: Analyte, subject: Subject, specimen: str = "") -> Range:
    """Return the built-in range for a person.

    Raises
    ------
    NoRange
        Says which of range, age, sex or pregnancy is the reason.
    """
    rows = BUILT_IN.get(analyte.analyte_id)
    if not rows:
        raise NoRange("no built-in range for this analyte")
    if found := range_rows.fitting(BUILT_IN, analyte, subject, specimen):
        return found
    if subject.pregnant:
        raise NoRange("no built-in range in this pregnancy", reason="NO_RANGE_IN_PREGNANCY")
    if (years := subject.years) is None:
        raise NoRange("the age is not known", reason="AGE_UNKNOWN")
    if not any(row.trimester == 0 and row.holds_age(years) for row in rows):
        raise NoRange("no built-in range for this age", reason="NO_RANGE_FOR_AGE")
    raise NoRange("no built-in range for this sex", reason="NO_RANGE_FOR_SEX")


def own(
    entries: Sequence[Mapping[str, Any]], value: Quantity, code: Code, subject: Subject
) -> Range | None:
    """Return the range that came with the result; None when there is none to rely on.

    A limit without a unit is in the unit of the value.
    """
    found = [
        _limits(entry, value, code)
        for entry in entries
        if _is_normal(entry) and _fits_age(entry, subject) and _fits_sex(entry, subject)
    ]
    usable = {each for each in found if each is not None}
    return usable.pop() if len(usable) == 1 else None


def _limits(entry: Mapping[str, Any], value: Quantity, code: Code) -> Range | None:
    ends = [quantity_of(entry.get(name)) for name in ("low", "high")]
    is_open = [False, False]
    if not any(ends):
        ends, is_open = of_text(text_of(entry.get("text")))
    if not any(ends) or any(end and (end.comparator or not end.in_scale) for end in ends):
        return None
    try:
        low, high = (_canonical(end, value, code) if end else None for end in ends)
    except NotInterpretable:
        return None
    if low is not None and high is not None and low > high:
        return None
    return Range(low, high, OWN_SOURCE, *is_open)


@lru_cache(maxsize=1024)
def of_text(text: str) -> tuple[list[Quantity | None], list[bool]]:
    """Return the ends in a plain text, and whether each end itself is outside."""
    if both := _FROM_TO.fullmatch(text):
        ends = [Quantity(Decimal(both[end]), both[end]) for end in ("low", "high")]
        return [*ends], [False, False]
    if one := _ONE_END.fullmatch(text):
        end = Quantity(Decimal(one["end"]), one["end"])
        sign = one["sign"].replace("＜", "<").replace("＞", ">")
        if sign[0] in "<≤":
            return [None, end], [False, sign == "<"]
        return [end, None], [sign == ">", False]
    return [None, None], [False, False]


def _canonical(end: Quantity, value: Quantity, code: Code) -> Decimal:
    unit = end.code or end.unit or value.code or value.unit
    if not unit and analytes.without_unit(code):
        return end.number
    return end.number * analytes.factor(units.read(unit), code)


def _is_normal(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry is the normal range, not a treatment or critical one."""
    if "type" not in entry:
        return True
    codes = codes_of(entry.get("type"))
    return not codes or "normal" in codes


def _fits_sex(entry: Mapping[str, Any], subject: Subject) -> bool:
    if "appliesTo" not in entry:
        return True
    named = [codes_of(concept) for concept in list_of(entry.get("appliesTo"))]
    sexes = {_SEXES[code] for codes in named for code in codes if code in _SEXES}
    others = any(codes and not codes & _SEXES.keys() for codes in named)
    return not others and (not sexes or subject.sex in sexes)


def _fits_age(entry: Mapping[str, Any], subject: Subject) -> bool:
    if "age" not in entry:
        return True
    limits = mapping_of(entry.get("age"))
    for name in ("low", "high"):
        end = quantity_of(limits.get(name))
        if end is None:
            continue
        per_year = range_rows.PER_YEAR.get(end.code or end.unit)
        if per_year is None or subject.years is None:
            return False
        age = int(subject.years * per_year)  # completed years, months, weeks or days
        if age < end.number if name == "low" else age > end.number:
            return False
    return True


def load(rows: Iterable[Mapping[str, str]]) -> Table:
    """Return a tenant's table of ranges; see `range_rows.load`."""
    return range_rows.load(rows, "the tenant's table")
