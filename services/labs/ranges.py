"""Reference ranges: the laboratory's own first, then the built-in one for adults.

Own ranges are FHIR `Observation.referenceRange` entries; of several, the one that fits the
person's age and sex, and none when that leaves a choice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.labs import analytes, tables, units
from services.labs.analytes import Analyte, Code
from services.labs.lenient import codes_of, list_of, mapping_of, text_of
from services.labs.panel import Quantity, Subject, quantity_of
from services.labs.reasons import NoRange, NotInterpretable

OWN_SOURCE = "the laboratory's own range"
_SEXES = {"male": "male", "M": "male", "female": "female", "F": "female"}
_PER_YEAR = {"a": 1.0, "mo": 12.0, "wk": 52.18, "d": 365.25}
"""UCUM units of age in one year."""
_FROM_TO = re.compile(
    r"\s*(?P<low>\d{1,6}(\.\d{1,6})?)\s*[-–—~～]\s*(?P<high>\d{1,6}(\.\d{1,6})?)\s*"
)
"""A range written as text, "3.5-5.3"; any other text is not read."""


@dataclass(frozen=True, slots=True)
class Range:
    """Limits in the canonical unit, both included; None: no limit."""

    low: Decimal | None
    high: Decimal | None
    source: str


@dataclass(frozen=True, slots=True)
class _Row:
    sex: str
    age_from: int
    age_to: int | None
    range: Range

    def holds_age(self, years: float) -> bool:
        return years >= self.age_from and (self.age_to is None or years < self.age_to + 1)


def _load() -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = defaultdict(list)
    for row in tables.rows("ranges"):
        factor = analytes.to_canonical(units.read(row["unit"]), analytes.ANALYTES[row["analyte"]])
        low, high = (Decimal(row[end]) * factor if row[end] else None for end in ("low", "high"))
        note = f" ({row['note']})" if row["note"] else ""
        found[row["analyte"]].append(
            _Row(
                row["sex"],
                int(row["age_from"]),
                int(row["age_to"]) if row["age_to"] else None,
                Range(low, high, row["source"] + note),
            )
        )
    return dict(found)


BUILT_IN = _load()
"""By analyte id."""


def built_in(analyte: Analyte, subject: Subject) -> Range:
    """Return the adult range for a person.

    Raises
    ------
    NoRange
        Says which of range, age, sex or pregnancy is the reason.
    """
    rows = BUILT_IN.get(analyte.analyte_id)
    if not rows:
        raise NoRange("no built-in range for this analyte")
    if subject.pregnant:
        raise NoRange("built-in ranges do not hold in pregnancy", reason="NO_RANGE_IN_PREGNANCY")
    if subject.age_years is None:
        raise NoRange("the age is not known", reason="AGE_UNKNOWN")
    fitting = [row for row in rows if row.holds_age(subject.age_years)]
    if not fitting:
        raise NoRange("no built-in range for this age", reason="NO_RANGE_FOR_AGE")
    letter = {"male": "M", "female": "F"}.get(subject.sex, "")
    for row in fitting:
        if row.sex in ("all", letter):
            return row.range
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
    if not any(ends) and (both := _FROM_TO.fullmatch(text_of(entry.get("text")))):
        ends = [Quantity(Decimal(both[end]), both[end]) for end in ("low", "high")]
    if not any(ends) or any(end and (end.comparator or not end.in_scale) for end in ends):
        return None
    try:
        low, high = (_canonical(end, value, code) if end else None for end in ends)
    except NotInterpretable:
        return None
    if low is not None and high is not None and low > high:
        return None
    return Range(low, high, OWN_SOURCE)


def _canonical(end: Quantity, value: Quantity, code: Code) -> Decimal:
    unit = end.code or end.unit or value.code or value.unit
    if not unit and analytes.without_unit(code):
        return end.number
    return end.number * analytes.factor(units.read(unit), code)


def _is_normal(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry is the normal range, not a treatment or critical one."""
    codes = codes_of(entry.get("type"))
    return not codes or "normal" in codes


def _fits_sex(entry: Mapping[str, Any], subject: Subject) -> bool:
    named = [codes_of(concept) for concept in list_of(entry.get("appliesTo"))]
    sexes = {_SEXES[code] for codes in named for code in codes if code in _SEXES}
    others = any(codes and not codes & _SEXES.keys() for codes in named)
    return not others and (not sexes or subject.sex in sexes)


def _fits_age(entry: Mapping[str, Any], subject: Subject) -> bool:
    limits = mapping_of(entry.get("age"))
    for name in ("low", "high"):
        end = quantity_of(limits.get(name))
        if end is None:
            continue
        per_year = _PER_YEAR.get(end.code or end.unit)
        if per_year is None or subject.age_years is None:
            return False
        age = int(subject.age_years * per_year)  # completed years, months, weeks or days
        if age < end.number if name == "low" else age > end.number:
            return False
    return True
