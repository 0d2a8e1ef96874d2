"""The tables beside this code: tab-separated, `#` lines are comments, the first line names."""

from __future__ import annotations

import csv
import hashlib
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/<name>.tsv`, each a dict of column to text; short rows end empty."""
    text = files("services.nlp").joinpath("data", f"{name}.tsv").read_text("utf-8")
    lines = (line for line in text.splitlines() if line and line[0] != "#")
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
    return [{key: (cell or "").strip() for key, cell in row.items() if key} for row in reader]


def names(cell: str) -> list[str]:
    """Return the names in a cell, which semicolons separate."""
    return [name.strip() for name in cell.split(";") if name.strip()]


def digest() -> str:
    """Return the SHA-256 of all tables, 64 hex digits: which data a finding rests on."""
    folder = files("services.nlp").joinpath("data")
    total = hashlib.sha256()
    for name in sorted(path.name for path in folder.iterdir() if path.name.endswith(".tsv")):
        total.update(name.encode() + b"\0" + folder.joinpath(name).read_bytes())
    return total.hexdigest()
