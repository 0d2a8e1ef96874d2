"""The tables beside this code: tab-separated, `#` lines are comments, the first line names."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/<name>.tsv`, each a dict of column to text."""
    return parse(files("services.labs").joinpath("data", f"{name}.tsv").read_text("utf-8"))


def parse(text: str) -> list[dict[str, str]]:
    """Return the rows of a table given as text; short rows end with empty cells."""
    lines: Iterable[str] = (line for line in text.splitlines() if line and line[0] != "#")
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
    return [{key: (cell or "").strip() for key, cell in row.items() if key} for row in reader]


def digest() -> str:
    """Return the SHA-256 of all data, 64 hex digits: which tables a finding rests on."""
    folder = files("services.labs").joinpath("data")
    found = {path.name: path for path in folder.iterdir() if path.name.endswith(".tsv")}
    for kind in ("rules", "scores"):
        for path in folder.joinpath(kind).iterdir():
            if path.name.endswith(".toml"):
                found[f"{kind}/{path.name}"] = path
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(name.encode() + b"\0" + found[name].read_bytes())
    return total.hexdigest()
