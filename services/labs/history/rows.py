"""One kept result, and which results of a part are kept.

A row says what was measured, when (shifted), and how it was judged then; it names nobody, and the
Observation that it came from only by the id that it had in its own part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from services.labs import analytes, qualitative
from services.labs.history import groups
from services.labs.interpret import Result
from services.labs.panel import Measured
from services.labs.specimens import class_of
from services.labs.times import moment, seconds

TAKEN_BACK = frozenset({"entered-in-error", "cancelled"})
CORRECTED = frozenset({"corrected", "amended"})


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Row:
    """A result; the unit is the canonical one of the analyte when it was kept."""

    analyte: str
    """Id in the dictionary, of an ordinal test, or of a blood group."""
    value: str
    """Decimal text; of an ordinal test the answer; of a blood group the group."""
    unit: str
    """UCUM; empty when it is no number."""
    effective: str
    """When it was measured, shifted: a FHIR date or dateTime."""
    at: float
    """The same, seconds since 1970 UTC; a day is its first moment."""
    flag: str = ""
    """HL7 v3 ObservationInterpretation code; empty: none."""
    low: str = ""
    """Ends of the range that it was held to; empty: none."""
    high: str = ""
    grade: int = 0
    """Of an ordinal test, 1 to 4; 0: none."""
    specimen: str = ""
    """Class of the specimen, such as arterial; empty: blood from anywhere, or not stated."""
    observation_id: str = ""
    corrected: bool = False

    @property
    def number(self) -> str:
        """The value as decimal text; of a dilution what it was diluted to, 80 of 1:80."""
        return self.value.removeprefix("1:")

    @property
    def of_day(self) -> bool:
        """Whether only the day is known."""
        return "T" not in self.effective


FIELDS = tuple(Row.__slots__)

Place = tuple[str, float, bool, str]
"""What the same result has in common with itself when it comes again: analyte, time or day,
specimen."""


def place(row: Row) -> Place:
    """Return where a row stands: a later row at its place takes its place."""
    return row.analyte, row.at, row.of_day, row.specimen


def to_keep(results: Sequence[Result]) -> list[Row]:
    """Return the rows to keep of a part: numbers, answers and blood groups with a time."""
    return [row for each in results if (row := _row(each))]


def taken_back(results: Iterable[Result]) -> list[Place]:
    """Return the places of results that came as entered in error or cancelled."""
    found = []
    for each in results:
        item = each.measured
        if item.status not in TAKEN_BACK:
            continue
        name, time = _name(each), moment(item.effective)
        if name and time:
            at, specimen = time.timestamp(), specimen_of(item)
            found.append(place(Row(name, "", "", item.effective, at, specimen=specimen)))
    return found


def written(rows: Iterable[Row]) -> list[list[Any]]:
    """Return rows as JSON arrays, the fields in their order."""
    return [[getattr(row, name) for name in FIELDS] for row in rows]


def read(found: Iterable[Sequence[Any]]) -> list[Row]:
    """Return rows that `written` made, in another release too.

    What is new here has its default; what a later release added is left out.
    """
    return [Row(*each[: len(FIELDS)]) for each in found]


def _row(result: Result) -> Row | None:
    item, limits = result.measured, result.range
    at = seconds(item.effective)
    if at is None:
        return None
    name, value, unit, grade = result.name, "", "", 0
    if result.analyte and _is_number(result):
        value, unit = result.shown, result.analyte.unit.ucum
    elif result.answer:
        value, grade = result.answer.answer.value, result.answer.grade
    elif found := groups.of(item):
        name, value = found
    else:
        return None
    return Row(
        name,
        value,
        unit,
        item.effective,
        at,
        result.flag.value if result.flag else "",
        *(limits.texts if limits else ("", "")),
        grade,
        specimen_of(item),
        item.observation_id,
        item.status in CORRECTED,
    )


def specimen_of(item: Measured) -> str:
    """Return the class of a specimen; the analyte says already that it is blood or urine."""
    found = class_of(item.specimen) if item.specimen else ""
    return "" if found == "blood" else found


def _name(result: Result) -> str:
    """Return what a result that does not count was of."""
    if result.name:
        return result.name
    for code in result.measured.loinc:
        if code in analytes.CODES:
            return analytes.CODES[code].analyte.analyte_id
        if code in qualitative.TESTS:
            return qualitative.TESTS[code].analyte_id
        if code in groups.CODES:
            return groups.CODES[code]
    return ""


def _is_number(result: Result) -> bool:
    """Tell whether it is a measurement, not a limit (`<0.01`)."""
    quantity = result.measured.quantity
    return result.canonical is not None and not (quantity and quantity.comparator)
