"""A tenant's own codes and names of analytes: `DX_LABS_MAPPINGS_DIR/<tenant>.tsv`.

Columns: system, code, name, specimen, unit, loinc, analyte. A row holds of a result that has the
code (and the system, when the row names one), or without a code the name in the specimen. `loinc`
or `analyte` say what it is; `unit` is not read, it is there for whoever fills in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.kernel.errors import InvalidInput, Violation
from services.labs import analytes, qualitative, specimens
from services.labs.analytes import Analyte, Code
from services.labs.folding import fold
from services.labs.qualitative import Test

COLUMNS = ("system", "code", "name", "specimen", "unit", "loinc", "analyte")
ROWS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """What one code or name of the tenant is."""

    analyte_id: str
    code: Code | None = None
    test: Test | None = None
    analyte: Analyte | None = None
    """An analyte without a LOINC code: the unit of the result tells its property."""


@dataclass(frozen=True, slots=True)
class Table:
    """A tenant's rows: by system and code (system empty: any), and by folded name and specimen."""

    by_code: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    by_name: Mapping[tuple[str, str], Row] = field(default_factory=dict)

    def find(
        self, local: Sequence[tuple[str, str]], names: Sequence[str], specimen: str
    ) -> Row | None:
        """Return the row that holds of a result; None: there is none."""
        for system, code in local:
            if row := self.by_code.get((system, code)) or self.by_code.get(("", code)):
                return row
        if self.by_name:
            stated = specimens.class_of(specimen)
            for name in names:
                key = fold(name)
                if row := self.by_name.get((key, stated)) or self.by_name.get((key, "")):
                    return row
        return None


NONE = Table()


def load(rows: Iterable[Mapping[str, str]]) -> Table:
    """Return a tenant's table.

    Raises
    ------
    InvalidInput
        Names every row that cannot be used, and why.
    """
    by_code: dict[tuple[str, str], Row] = {}
    by_name: dict[tuple[str, str], Row] = {}
    problems: list[Violation] = []
    for number, each in enumerate(rows, 1):
        if number > ROWS_MAX:
            raise InvalidInput(f"a table of codes has at most {ROWS_MAX} rows")
        found, problem = _row(each)
        specimen = each.get("specimen", "").strip()
        stated = specimen if specimen in specimens.CLASSES else specimens.class_of(specimen)
        if specimen and not stated:
            problem = "specimen is not one that is known"
        target, key = (
            (by_code, (each.get("system", ""), each.get("code", "")))
            if each.get("code")
            else (by_name, (fold(each.get("name", "")), stated))
        )
        if not problem and not key[0 if target is by_name else 1]:
            problem = "code and name are both empty"
        if not problem and key in target and target[key] != found:
            problem = "the same code or name stands in an earlier row with another meaning"
        if problem or found is None:
            problems.append(Violation(f"row {number}", problem))
        else:
            target[key] = found
    if problems:
        raise InvalidInput("a table of a tenant's codes has rows that cannot be used", problems)
    return Table(by_code, by_name)


def _row(each: Mapping[str, str]) -> tuple[Row | None, str]:
    """Return what a row means, or the problem with it."""
    if missing := [name for name in COLUMNS if name not in each]:
        return None, f"the column {missing[0]} is missing"
    loinc, name = each["loinc"], each["analyte"]
    if loinc:
        code, test = analytes.CODES.get(loinc), qualitative.TESTS.get(loinc)
        if code is None and test is None:
            return None, "loinc is not a code of the dictionary"
        known = code.analyte.analyte_id if code else test.analyte_id if test else ""
        if name and name != known:
            return None, f"loinc is a code of {known}, not of the analyte of the row"
        return Row(known, code, test), ""
    if not name:
        return None, "loinc and analyte are both empty"
    if name in analytes.ANALYTES:
        return Row(name, analyte=analytes.ANALYTES[name]), ""
    if name in qualitative.BY_ID:
        return Row(name, test=qualitative.BY_ID[name]), ""
    return None, "analyte is not one of the dictionary"
