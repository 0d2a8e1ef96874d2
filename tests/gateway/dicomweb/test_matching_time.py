"""Patterns of a search: what they match, and that none takes long to fail."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dicomweb.matching import condition

DESCRIPTION = "00081030"


def _holds(pattern: str, value: str) -> bool:
    said = {DESCRIPTION: {"vr": "LO", "Value": [value]}}
    return condition(DESCRIPTION, pattern, fuzzy=False).holds(said)


@pytest.mark.requirement("DX-DWB-07")
@pytest.mark.parametrize("pattern", ["*?" * 16 + "*!", "*a" * 15 + "*!", "?*" * 200 + "!"])
def test_a_pattern_of_many_wildcards_fails_at_once(pattern: str) -> None:
    began = time.monotonic()
    assert not _holds(pattern, "a" * 64)
    assert time.monotonic() - began < 1.0


@given(
    pattern=st.text("ab*?", min_size=1, max_size=12), value=st.text("ab", min_size=1, max_size=12)
)
def test_a_pattern_means_what_it_means_to_a_shell(pattern: str, value: str) -> None:
    assert _holds(pattern, value) == fnmatch.fnmatchcase(value, pattern)
