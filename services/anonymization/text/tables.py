"""Word tables of this package."""

from __future__ import annotations

from importlib import resources


def words(name: str) -> list[str]:
    """Return the words of a data file; lines that begin with # are comments."""
    return [word for found in sections(name).values() for word in found]


def sections(name: str) -> dict[str, list[str]]:
    """Return the words of a data file by the section, `[name]`, they stand in."""
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    found: dict[str, list[str]] = {}
    at = found.setdefault("", [])
    for line in text.splitlines():
        if line.startswith("["):
            at = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            at += line.split()
    return found


def either(found: list[str]) -> str:
    """Return a pattern of any of the words, longer ones first."""
    return "|".join(sorted(found, key=len, reverse=True))
