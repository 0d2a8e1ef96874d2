"""Codes that a tenant's laboratory made itself and that may stay: `<tenant>.tsv`.

The same tables that tell the labs service what a local code is (docs/labs.md). Of
them system and code are read, nothing else. A code that is not listed may be a record number in
disguise and goes; one that is listed says which test was done and nothing of anybody.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from services.kernel.crypto import checked
from services.kernel.errors import InvalidInput, Violation

Pairs = frozenset[tuple[str, str]]
"""System and code; an empty system stands for codings that name none."""

NONE: Pairs = frozenset()
COLUMNS = ("system", "code")
ROWS_MAX = 20_000
CODE_MAX, SYSTEM_MAX = 64, 200


def read(folder: Path | None) -> dict[str, Pairs]:
    """Return the pairs of each tenant that has a table in a folder; None: of no tenant.

    Raises
    ------
    InvalidInput
        The folder is not there, or a table cannot be used: the service must not start with half.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise InvalidInput("the folder of tenants' codes is not there", reason="NO_CODE_MAPPINGS")
    return {checked(path.stem): _read(path) for path in sorted(folder.glob("*.tsv"))}


def _read(path: Path) -> Pairs:
    try:
        return pairs(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the codes of {path.stem} are not UTF-8: save the table so") from error
    except InvalidInput as error:
        raise InvalidInput(
            f"the codes of {path.stem}: {error.message}", error.violations
        ) from error


def pairs(text: str) -> Pairs:
    """Return system and code of every row of a table that has a code; others name an analyte.

    Raises
    ------
    InvalidInput
        Names the rows that cannot be used, and never what stands in them.
    """
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise InvalidInput(f"the column {missing[0]} is missing")
    if len(lines) - 1 > ROWS_MAX:
        raise InvalidInput(f"a table of codes has at most {ROWS_MAX} rows")
    found: set[tuple[str, str]] = set()
    problems: list[Violation] = []
    for number, row in enumerate(reader, 1):
        system, code = _cell(row, "system"), _cell(row, "code")
        if problem := _problem(system, code):
            problems.append(Violation(f"row {number}", problem))
        elif code:
            found.add((system, code))
    if problems:
        first = f"{problems[0].path}: {problems[0].problem}"
        raise InvalidInput(f"{len(problems)} rows cannot be used; {first}", problems)
    return frozenset(found)


def _cell(row: Mapping[str, str | None], name: str) -> str:
    return (row.get(name) or "").strip()


def _problem(system: str, code: str) -> str:
    if len(code) > CODE_MAX or not code.isprintable():
        return f"code has over {CODE_MAX} characters, or some that are not printed"
    if len(system) > SYSTEM_MAX or not system.isprintable():
        return f"system has over {SYSTEM_MAX} characters, or some that are not printed"
    return ""
