"""What a rule covers is left out, and named with the rule that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from services.labs.rules import covering
from services.labs.rules.model import Rule


@dataclass
class Named:
    """A rule as far as covering looks at it."""

    risk_id: str
    covers: tuple[str, ...] = ()


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"a": ("b",), "b": (), "c": ()}, ("b",)),
        ({"a": ("b",), "b": ("c",), "c": ()}, ("b", "c")),
        ({"a": ("b", "gone"), "b": ("a",)}, ("a", "b")),
        ({"a": (), "b": ()}, ()),
    ],
)
def test_covered_rules_that_hold_are_named(
    held: Mapping[str, tuple[str, ...]], expected: tuple[str, ...]
) -> None:
    rules = [cast(Rule, Named(name, covers)) for name, covers in held.items()]
    found: list[tuple[Rule, Any]] = [(rule, None) for rule in rules]
    assert covering.of(rules[0], found) == expected
