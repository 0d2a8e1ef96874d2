"""Conditions of rules: what they say, what they leave open, and that nothing else gets in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labs.rules.expression import BadCondition, condition, quantity

LIMITS = {"low": 100.0}


@dataclass
class Facts:
    """Facts that a test states."""

    numbers: dict[str, float] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    truths: dict[str, bool] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        return self.numbers.get(name)

    def of(self, function: str, name: str) -> float | None:
        return self.numbers.get(f"{function}({name})")

    def state(self, name: str) -> str | None:
        return self.states.get(name)

    def truth(self, name: str) -> bool | None:
        return self.truths.get(name)

    @property
    def has_bounds(self) -> bool:
        return False

    def bounds(self, name: str) -> tuple[float, float] | None:
        return None

    def corners(self, names: Iterable[str]) -> Sequence[Facts]:
        return []


KNOWN = Facts(
    {"hgb": 92.0, "alt": 300.0, "uln(alt)": 50.0, "score:fib-4": 2.67, "zero": 0.0},
    {"hbsag": "positive", "k": "high", "sex": "female"},
    {"gas:mixed": True, "pregnant": False},
)


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hgb < $low", True),
        ("80 <= hgb < 92", False),
        ("80 <= hgb < 92.5", True),
        ("alt >= 5 * uln(alt)", True),
        ("alt / uln(alt) - 1 > 5", False),
        ("(alt + 30) / 10 >= 33", True),
        ("round(score:fib-4) >= 3", True),
        ("hbsag is positive", True),
        ("hbsag is negative", False),
        ("k is high", True),
        ("sex is female", True),
        ("gas:mixed", True),
        ("pregnant", False),
        ("ferritin is known", False),
        ("hgb is known", True),
        # what is not known decides nothing
        ("ferritin < 15", None),
        ("alt > lln(alt)", None),
        ("hgb / zero > 1", None),
        ("anti-hcv is positive", None),
        ("gas:inconsistent", None),
    ],
)
def test_a_condition_is_true_false_or_unknown(text: str, expected: bool | None) -> None:
    assert condition(text, LIMITS).holds(KNOWN) is expected


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "value was expected"),
        ("hgb", None),
        ("hgb <", "value was expected"),
        ("hgb 100", "comparison"),
        ("hgb < 100 100", "too many"),
        ("hgb < $high", "not defined"),
        ("hgb is purple", "no state"),
        ("sex is other", "male or female"),
        ("exp(hgb) > 1", "no function"),
        ("hgb.__class__ > 1", "cannot be read"),
        ("__import__('os')", "cannot be read"),
        ("hgb < 1e9", "too many"),
        ("uln(hgb > 1", "missing"),
        ("x" * 300, "longer"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(text: str, says: str | None) -> None:
    if says is None:  # a name alone asks whether it holds
        assert condition(text, LIMITS).holds(KNOWN) is None
        return
    with pytest.raises(BadCondition, match=says):
        condition(text, LIMITS)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        made = condition(text, LIMITS)
    except BadCondition:
        return
    assert made.holds(KNOWN) in (True, False, None)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_arithmetic_is_that_of_numbers(a: float, b: float) -> None:
    facts = Facts({"x": a, "y": b})
    assert quantity("(x + y) * 2 - x / y", {}).value(facts) == (a + b) * 2 - a / b
