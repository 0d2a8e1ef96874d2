"""A result that is a limit or a range answers only what all its values would answer alike."""

from __future__ import annotations

from typing import Any

import pytest

from services.reporting.suggestions.model import Atom, Fact, Facts


@pytest.mark.requirement("DX-SUG-01")
@pytest.mark.parametrize(
    ("operator", "limit", "fact", "holds"),
    [
        (">", 4.5, {"least": 8.0, "strict": True}, True),
        (">", 8.0, {"least": 8.0, "strict": True}, True),
        (">", 8.0, {"least": 8.0}, False),
        (">=", 8.0, {"least": 8.0}, True),
        (">", 9.0, {"least": 8.0, "strict": True}, False),
        ("<", 4.5, {"least": 8.0, "strict": True}, False),
        ("<", 1.0, {"most": 0.5, "strict": True}, True),
        ("<", 0.4, {"most": 0.5, "strict": True}, False),
        (">", 0.1, {"most": 0.5, "strict": True}, False),
        (">", 2.0, {"least": 3.0, "most": 5.0}, True),
        (">", 4.0, {"least": 3.0, "most": 5.0}, False),
        (">", 4.0, {}, False),
    ],
)
def test_a_limit_answers_only_where_every_value_would(
    operator: str, limit: float, fact: dict[str, Any], holds: bool
) -> None:
    facts = Facts()
    facts.add(Fact("lab:inr", "INR", "INR", **fact))
    assert bool(Atom(("lab:inr",), "", operator, limit).found(facts)) is holds
