"""`results.md`: one section per benchmark; those that are not run again are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PATH = Path(__file__).with_name("results.md")

_HEAD = """\
# Benchmarks

Written by `make bench`; `python -m benchmarks NAME …` measures some anew and keeps the rest.
A ratio compares two sides of one run, round by round in a fresh order; in brackets stands the
interval that holds the median with 95 % confidence. Absolute figures are this machine's alone.
"""
_SECTION = re.compile(r"^## `(\w+)`: (.+)$", re.MULTILINE)
_AIM = re.compile(r"^Aim: .*$", re.MULTILINE)


def read(path: Path = PATH) -> dict[str, str]:
    """Return the sections of an earlier run by name; none where there was no run."""
    if not path.is_file():
        return {}
    text = path.read_text("utf-8")
    heads = list(_SECTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head[1]: text[head.start() : end].strip() for head, end in zip(heads, ends, strict=True)
    }


def section(name: str, document: str, rows: list[str], verdict: str, measured: str) -> str:
    """Return a section; `document` is the benchmark's docstring, its first line the title."""
    title, _, rest = document.strip().partition("\n")
    told = rest.partition("\nRun:")[0].strip()
    parts = [f"## `{name}`: {title.rstrip('.')}", told, "\n".join(rows), verdict, measured]
    return "\n\n".join(part for part in parts if part)


def write(sections: Mapping[str, str], order: list[str], path: Path = PATH) -> None:
    """Write the sections in order, under a summary of their aims."""
    present = [name for name in order if name in sections]
    aims = [f"- `{name}`: {_aim(sections[name])}" for name in present]
    text = "\n\n".join([_HEAD + "\n" + "\n".join(aims), *(sections[name] for name in present)])
    path.write_text(text + "\n", "utf-8")


def _aim(section: str) -> str:
    found = _AIM.search(section)
    return found[0].removeprefix("Aim: ") if found else "no aim"
