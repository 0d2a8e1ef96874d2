"""The tables beside this code: tab-separated, `#` lines are comments, the first line names."""

from __future__ import annotations

import csv
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/<name>.tsv`, each a dict of column to text."""
    text = files("services.reporting").joinpath("data", f"{name}.tsv").read_text("utf-8")
    lines = (line for line in text.splitlines() if line and line[0] != "#")
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
