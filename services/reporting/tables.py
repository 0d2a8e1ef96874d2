"""The tables beside this code: tab-separated, `#` lines are comments, the first line names.

Some are in several files, so that each reading of images has its own: `words.tsv` first, then
`words_<function>.tsv`, whose rows take the place of those with the same key.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from importlib.resources.abc import Traversable


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/<name>.tsv` and `data/<name>_*.tsv`, each of column to text."""
    folder = files("services.reporting").joinpath("data")
    also = sorted(
        each.name
        for each in folder.iterdir()
        if each.name.startswith(f"{name}_") and each.name.endswith(".tsv")
    )
    return [row for file in (f"{name}.tsv", *also) for row in _rows(folder.joinpath(file))]


def _rows(file: Traversable) -> list[dict[str, str]]:
    text = file.read_text("utf-8")
    lines = (line for line in text.splitlines() if line and line[0] != "#")
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
