"""The conditions of the release, read once from `services/reporting/data/suggestions/`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from services.reporting.suggestions import schema
from services.reporting.suggestions.engine import Engine
from services.reporting.suggestions.schema import Topic

GROUPS_FILE = "groups.toml"


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Return the groups of terms and medicines that features name with `@`."""
    document = tomllib.loads(_folder().joinpath(GROUPS_FILE).read_text("utf-8"))
    return {name: tuple(members) for table in document.values() for name, members in table.items()}


@cache
def topics() -> tuple[Topic, ...]:
    """Return every file of conditions."""
    return tuple(
        schema.read(file.read_text("utf-8"), file.name, groups())
        for file in _files()
        if file.name != GROUPS_FILE
    )


@cache
def engine() -> Engine:
    """Return the engine over all conditions."""
    return Engine([condition for topic in topics() for condition in topic.conditions])


@cache
def digest() -> str:
    """Return the SHA-256 of all files, 64 hex digits: which data a suggestion rests on."""
    total = hashlib.sha256()
    beside = files("services.reporting").joinpath("data", "reconcile")
    also = sorted((each for each in beside.iterdir()), key=lambda each: each.name)
    for file in (*_files(), *also):
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def _folder() -> Traversable:
    return files("services.reporting").joinpath("data", "suggestions")


def _files() -> Iterable[Traversable]:
    found = (each for each in _folder().iterdir() if each.name.endswith(".toml"))
    return sorted(found, key=lambda each: each.name)
