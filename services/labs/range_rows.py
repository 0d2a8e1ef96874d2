"""Tables of reference ranges: rows by specimen, sex, age and trimester of pregnancy.

An age is in completed years, both ends included (`18`, `59`), or has a unit and then the upper
end is not included (`28d`, `6mo`). A row without a trimester is not of pregnancy. `>3` as low and
`<80` as high: the limit itself is outside.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from services.kernel.errors import InvalidInput, Violation
from services.labs import analytes, specimens, tables, units
from services.labs.analytes import Analyte
from services.labs.panel import Subject
from services.labs.reasons import NotInterpretable

PER_YEAR = {"a": 1.0, "mo": 12.0, "wk": 52.18, "d": 365.25}
"""UCUM units of age in one year."""
TRIMESTERS = {1: (0.0, 14.0), 2: (14.0, 28.0), 3: (28.0, 46.0)}
"""Completed weeks of pregnancy, the upper end not included (ACOG: first to 13 6/7, second to
27 6/7 weeks)."""
_AGE = re.compile(r"(?P<number>\d{1,4}(?:\.\d{1,2})?)(?P<unit>a|mo|wk|d)?")
_LETTERS = {"male": "M", "female": "F"}


Floats = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Range:
    """Limits in the canonical unit, both included unless open; None: no limit."""

    low: Decimal | None
    high: Decimal | None
    source: str
    low_open: bool = False
    high_open: bool = False
    _floats: Floats | None = field(default=None, init=False, compare=False, repr=False)
    _texts: tuple[str, str] | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def floats(self) -> Floats:
        """Both ends as floats; made once, since a row of a table is asked again and again."""
        found = self._floats
        if found is None:
            low, high = self.low, self.high
            found = (
                None if low is None else float(low),
                None if high is None else float(high),
            )
            object.__setattr__(self, "_floats", found)
        return found

    @property
    def texts(self) -> tuple[str, str]:
        """Both ends as plain decimal text; empty: no limit."""
        found = self._texts
        if found is None:
            low, high = self.low, self.high
            found = "" if low is None else f"{low:f}", "" if high is None else f"{high:f}"
            object.__setattr__(self, "_texts", found)
        return found

    def side(self, value: Decimal) -> int:
        """Return -1 when a value is below, 1 when above, else 0."""
        low, high = self.low, self.high
        if low is not None and (value < low or (self.low_open and value == low)):
            return -1
        if high is not None and (value > high or (self.high_open and value == high)):
            return 1
        return 0


@dataclass(frozen=True, slots=True)
class Row:
    """One range and whom it is of."""

    sex: str
    age_from: float
    age_below: float
    """Years; infinite: no upper end."""
    trimester: int
    """1, 2 or 3; 0: not of pregnancy."""
    specimen: str
    range: Range

    def holds_age(self, years: float) -> bool:
        """Tell whether the row is of somebody of this age."""
        return self.age_from <= years < self.age_below


Table = Mapping[str, tuple[Row, ...]]
"""By analyte id; rows that name a specimen stand before those that do not."""


def fitting(table: Table, analyte: Analyte, subject: Subject, specimen: str) -> Range | None:
    """Return the first range that fits person and specimen; one that names the specimen first."""
    years, letter = subject.years, _LETTERS.get(subject.sex, "")
    trimester = _trimester(subject)
    if years is None or trimester is None:
        return None
    for row in table.get(analyte.analyte_id, ()):
        if row.trimester != trimester or row.sex not in ("all", letter):
            continue
        if not row.age_from <= years < row.age_below:
            continue
        if not row.specimen or row.specimen == specimen:
            return row.range
    return None


def _trimester(subject: Subject) -> int | None:
    """Return the trimester, 0 when not pregnant; None: pregnant and it is not known."""
    if not subject.pregnant:
        return 0
    weeks = subject.gestation_weeks
    if weeks is None:
        return None
    return next((n for n, (low, high) in TRIMESTERS.items() if low <= weeks < high), None)


def built_in() -> Table:
    """Return the table of this project."""
    return load(tables.rows("ranges"), "")


def load(rows: Iterable[Mapping[str, str]], source: str) -> Table:
    """Return a table; `source` stands where a row names none.

    Raises
    ------
    InvalidInput
        Names every row that cannot be used, and why.
    """
    found: dict[str, list[Row]] = defaultdict(list)
    problems: list[Violation] = []
    for number, row in enumerate(rows, 1):
        try:
            analyte = analytes.ANALYTES[row["analyte"]]
            found[analyte.analyte_id].append(_row(row, analyte, source))
        except (KeyError, NotInterpretable, InvalidOperation, ValueError) as error:
            problem = str(error) if isinstance(error, ValueError) else type(error).__name__
            if isinstance(error, KeyError):
                problem = "the analyte is not one of the dictionary, or a column is missing"
            problems.append(Violation(f"row {number}", problem))
    if problems:
        raise InvalidInput("a table of reference ranges has rows that cannot be used", problems)
    return {
        name: tuple(sorted(each, key=lambda row: not row.specimen)) for name, each in found.items()
    }


def _row(row: Mapping[str, str], analyte: Analyte, source: str) -> Row:
    factor = analytes.to_canonical(units.read(row["unit"]), analyte)
    is_open = row["low"].startswith(">"), row["high"].startswith("<")
    ends = row["low"].removeprefix(">"), row["high"].removeprefix("<")
    low, high = (Decimal(end) * factor if end else None for end in ends)
    if low is None and high is None:
        raise ValueError("low and high are both empty")
    if low is not None and high is not None and low > high:
        raise ValueError("low is above high")
    sex, trimester, specimen = (
        row["sex"] or "all",
        row.get("trimester", ""),
        row.get("specimen", ""),
    )
    if sex not in ("all", "M", "F"):
        raise ValueError("sex is all, M or F")
    if trimester not in ("", "1", "2", "3"):
        raise ValueError("trimester is 1, 2, 3 or empty")
    if specimen and specimen not in specimens.CLASSES:
        raise ValueError("specimen is not one that is known")
    note = f" ({row['note']})" if row.get("note") else ""
    named = row.get("source") or source
    return Row(
        sex,
        _years(row["age_from"], 0.0, last=False),
        _years(row["age_to"], float("inf"), last=True),
        int(trimester or 0),
        specimen,
        Range(low, high, named + note, *is_open),
    )


def _years(text: str, empty: float, *, last: bool) -> float:
    """Return an age in years; the last year that is included becomes the end of that year."""
    if not text:
        return empty
    if not (found := _AGE.fullmatch(text)):
        raise ValueError("an age is a number of years, or a number with a, mo, wk or d")
    number = float(found["number"])
    if not found["unit"]:
        return number + 1 if last else number
    return number / PER_YEAR[found["unit"]]
