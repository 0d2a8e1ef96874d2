"""Writes `docs/settings.md` from the settings classes of the services.

`python docs/make_settings.py` writes it; `--check` exits 1 when it is stale. A service without
a settings class, or a setting without a docstring, stops it: nothing is left out in silence.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

from services.kernel.settings import (
    Described,
    IdentitySettings,
    MeshSettings,
    describe,
    names,
)
from services.kernel.subjects import SERVICES

PAGE = Path(__file__).parent / "settings.md"
HEAD = """\
# Settings

Written by `docs/make_settings.py` from the settings classes; change those, not this page.

A setting is an environment variable. Those of all services begin with `DX_`, a service's own with
`DX_<SERVICE>_`. A shared one can be set for one service alone under that service's name:
`DX_IMAGING_ACK_WAIT_S` goes before `DX_ACK_WAIT_S`. A missing or malformed one stops the service
at its start, and every such variable is named. The chart sets most of them; the rest are
`services.<name>.settings` in its values.
"""
KINDS = {
    "str": "text",
    "Path": "path",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
}


class Undocumented(Exception):
    """Settings whose class says nothing of what they are."""


def main() -> None:
    """Write the page, or with `--check` say whether it is current."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit("docs/settings.md is stale: run python docs/make_settings.py")


def page() -> str:
    """Return the page.

    Raises
    ------
    Undocumented
    ModuleNotFoundError
        A service has no `settings.py`.
    """
    parts = [HEAD]
    parts.append("## Every service\n\n" + table(rows_of(MeshSettings, "")))
    own = [row for row in rows_of(IdentitySettings, "") if not is_shared(row, MeshSettings)]
    parts.append("## Every service of the identity zone, besides\n\n" + table(own))
    for service in SERVICES:
        cls = importlib.import_module(f"services.{service}.settings").Settings
        rows = [r for r in rows_of(cls, service) if not is_shared(r, IdentitySettings)]
        zone = "identity" if issubclass(cls, IdentitySettings) else "analysis"
        parts.append(f"## {service}\n\nOf the {zone} zone.\n\n" + table(rows))
    return "\n".join(parts)


def rows_of(cls: type[Any], service: str) -> list[Described]:
    """Return every setting of a class; raises Undocumented where one would be missing."""
    rows = describe(cls, service)
    described = {row.variable for row in rows}
    silent = [
        f"{cls.__module__}.{field.name}"
        for field in dataclasses.fields(cls)
        if not described & set(names(service, field.name))
    ]
    if silent:
        raise Undocumented("no docstring under " + ", ".join(silent))
    return rows


def is_shared(row: Described, cls: type[Any]) -> bool:
    """Tell whether a row is one that `cls` has for all services."""
    return row.variable in {names("", field.name)[1] for field in dataclasses.fields(cls)}


def table(rows: list[Described]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{row.variable}` | {kind(row)} | {default(row)} | {cell(row.text)} |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def kind(row: Described) -> str:
    """Return a type in words."""
    return KINDS[row.kind.removesuffix(" | None")]


def default(row: Described) -> str:
    """Return a default as people read it."""
    if row.default == "required":
        return "**required**"
    return f"`{cell(row.default)}`" if row.default not in ("", "None") else "none"


def cell(text: str) -> str:
    """Return text that stays in its cell; `<name>` outside of code is no tag."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    main()
