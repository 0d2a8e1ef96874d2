"""The rows of a CSV file, by patient, with everything of it that cannot be used. Pure.

Source: RFC 4180; commas, semicolons or tabs; UTF-8 with or without a byte-order mark, GB 18030,
or the UTF-16 that spreadsheets write as "Unicode text".
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest.csv_results import columns
from services.kernel.errors import InvalidInput

DELIMITERS = (",", ";", "\t")
PROBLEMS_MAX = 300
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
Row = Mapping[str, str]


@dataclass(slots=True)
class PatientRows:
    """The rows of one patient."""

    identity: tuple[str, str]
    """System (empty: not stated) and value of the patient's identifier."""
    numbered: list[tuple[int, Row]] = field(default_factory=list)
    problems: list[IntakeProblem] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Where they stand in the file."""
        return f"rows {self.numbered[0][0]}-{self.numbered[-1][0]}"


@dataclass(slots=True)
class File:
    """What a file holds."""

    header: Sequence[str]
    patients: list[PatientRows]
    problems: list[IntakeProblem]
    """Rows of which nobody can say whose they are."""


def read(content: bytes) -> File:
    """Return the rows of a file.

    Raises
    ------
    InvalidInput
        Not text that is read, or no usable header.
    """
    text = _CONTROLS.sub("", _text(content))
    delimiter = _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    numbered = _numbered(rows)
    _, header = next(numbered, (1, []))
    names = columns.read(header or [])
    found = File(header or [], [], [])
    patients: dict[tuple[str, str], PatientRows] = {}
    for number, row in numbered:
        if row is None or len(row) > len(names):
            _refuse(found.problems, number, "ROW_NOT_READ", "the row is not built like the header")
            continue
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=False)}
        if not any(cells.values()):
            continue
        if not cells.get("patient_id"):
            _refuse(found.problems, number, "NO_PATIENT", "the row names no patient")
            continue
        key = (cells.get("patient_id_system", ""), cells["patient_id"])
        patients.setdefault(key, PatientRows(key)).numbered.append((number, cells))
    found.patients = list(patients.values())
    return found


def written(header: Sequence[str], rows: PatientRows) -> bytes:
    """Return one patient's rows as a file of their own, UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    names = columns.read(header)
    writer.writerow(header)
    writer.writerows([cells.get(name, "") for name in names] for _, cells in rows.numbered)
    return out.getvalue().encode()


def _refuse(problems: list[IntakeProblem], number: int, reason: str, message: str) -> None:
    if len(problems) < PROBLEMS_MAX:
        problems.append(IntakeProblem(source=f"row {number}", reason=reason, message=message))
    elif len(problems) == PROBLEMS_MAX:
        text = "more rows could not be used"
        problems.append(IntakeProblem(source=f"row {number}", reason="MORE", message=text))


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | None]]:
    """Yield rows with their numbers, from 1; None for one that cannot be read."""
    number = 0
    while True:
        number += 1
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield number, None


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        tried = ["utf-16"]
    else:
        tried = ["utf-8-sig", "gb18030"]
    for codec in tried:
        try:
            return content.decode(codec)
        except UnicodeDecodeError:
            continue
    raise InvalidInput("the file is neither UTF-8 nor GB 18030", reason="CHARSET_NOT_READ")


def _delimiter(text: str) -> str:
    """Return the delimiter with which most of the first line are known columns."""
    first = text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")[:10_000]

    def found(delimiter: str) -> int:
        try:
            return columns.known(next(csv.reader([first], delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=found)
