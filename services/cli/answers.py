"""What the command prints and how it exits.

`--json` puts exactly one object on stdout; progress and errors go to stderr. Every error
names what to do next.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

DONE, REFUSED, USAGE, AWAY, LATE = 0, 1, 2, 3, 4
"""Exit codes: done; the mesh refused or the case failed; wrong usage; the mesh does not
answer; it took longer than `--timeout`."""

out = Console()
err = Console(stderr=True)


class CliError(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, message: str, code: int, *, details: list[str] | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.details = message, code, details or []


def put_json(value: Any) -> None:
    """Write one JSON object to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def put_line(line: Text) -> None:
    """Write a line to stdout: folded for a person's terminal, in one piece for a pipe."""
    out.print(line, soft_wrap=not out.is_terminal)


def put_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows under headings, each in one piece: an id that is cut off cannot be copied."""
    shown = [list(headings), *map(list, rows)]
    widths = [max(cell_len(row[i]) for row in shown) for i in range(len(headings))]
    for number, row in enumerate(shown):
        cells = [cell + " " * (widths[i] - cell_len(cell)) for i, cell in enumerate(row)]
        line = Text("  ".join(cells).rstrip(), "" if number else "bold")
        out.print(line, soft_wrap=True)


def fail(error: CliError) -> NoReturn:
    """Say what went wrong on stderr and exit."""
    err.print(Text(f"dxmesh: {error.message}"))
    for detail in error.details:
        err.print(Text(f"  {detail}"))
    raise SystemExit(error.code)


def progress(text: str) -> None:
    """Say on stderr what is being done, when a person is watching."""
    if err.is_terminal:
        err.print(Text(text, style="dim"))
