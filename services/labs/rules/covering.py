"""Which rules that hold are left out, since another says the same and more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.labs.rules.model import Rule


def of(rule: Rule, found: Sequence[tuple[Rule, Any]]) -> tuple[str, ...]:
    """Return the rules of `found` that are left out for one, directly or through another."""
    if not rule.covers:
        return ()
    covers = {each.risk_id: each.covers for each, _ in found}
    left_out: set[str] = set()
    waiting = list(rule.covers)
    while waiting:
        other = waiting.pop()
        if other in covers and other not in left_out:
            left_out.add(other)
            waiting += covers[other]
    return tuple(sorted(left_out))
