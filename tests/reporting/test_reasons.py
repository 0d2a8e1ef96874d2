"""A report says in its own language why something was not analysed, whatever the reason."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

import services
from services.kernel.errors import MeshError, reason_of
from services.reporting import tables

STATED = re.compile(r'reason="([A-Z][A-Z0-9_]+)"')
ANALYSED_BY = ("anonymization", "imaging", "labs", "nlp")
NOT_OF_A_PART = frozenset(
    {"NOT_A_BUNDLE", "NO_PATIENT", "BAD_RULES", "LANGUAGE_UNKNOWN", "NO_CODE_MAPPINGS"}
)
"""Reasons of no part: ingest refuses the case before, the service does not start, or a person
at the command line hears it."""
NEVER_RAISED = (
    *("NotInterpretable", "SeriesRefused", "InstanceSetAside", "UnusableNote", "NotTaken"),
    *("BadRouting", "Remark"),
)
"""Types that only their kinds, or a stated reason, are raised of; `BadRouting` ends a start."""


def modules() -> Iterator[str]:
    for service in ANALYSED_BY:
        package = importlib.import_module(f"services.{service}")
        for found in pkgutil.walk_packages(package.__path__, f"services.{service}."):
            if not found.name.endswith("__main__"):
                yield found.name


def reasons() -> set[str]:
    """Return every reason that the services before the report can give for a part."""
    found: set[str] = set()
    for name in modules():
        module = importlib.import_module(name)
        found |= set(STATED.findall(inspect.getsource(module)))
        for _, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == name and issubclass(kind, MeshError)
            if own and kind.__name__ not in NEVER_RAISED and not kind.__name__.startswith("_"):
                found.add(getattr(kind, "code", "") or reason_of(kind))
    regions = json.loads(files("services.anonymization").joinpath("burned_in.json").read_text())
    found |= set(re.findall(r'"reason": "([A-Z_]+)"', json.dumps(regions)))
    return found - NOT_OF_A_PART


@pytest.mark.requirement("DX-REP-13")
def test_every_reason_has_words_in_both_languages() -> None:
    assert services.__doc__
    known = {row["reason"]: row for row in tables.rows("reasons")}
    assert reasons() - known.keys() - {"NOT_FINAL", "CONSENT_DENIED"} == set()
    for row in known.values():
        assert row["zh"].strip() and row["en"].strip(), row


@pytest.mark.requirement("DX-REP-13")
def test_what_an_impossible_value_is_held_to_has_words() -> None:
    """`low`, `high` and `unit` of VALUE_IMPOSSIBLE went out as the program calls them."""
    known = {row["key"]: row for row in tables.rows("words_facts")}
    assert {"fact-low", "fact-high", "fact-unit"} <= known.keys()
