"""What is left out before it is asked would not have held."""

from __future__ import annotations

import pytest

from services.labs.rules import engine, examples
from services.labs.rules.anchors import anchored
from services.labs.rules.facts import gather


@pytest.mark.requirement("DX-LAB-09")
def test_a_rule_that_is_left_out_by_its_limits_does_not_hold() -> None:
    rules = engine.default()
    each_rule = [anchored(n, rule, rule.needs, rules.derived) for n, rule in enumerate(rules.rules)]
    left_out = 0
    for about in rules.rules:
        for example in (about.positive, about.negative):
            results, scores, subject = examples.panel(example)
            facts, _ = gather(results, scores, subject, rules.derived)
            for each in each_rule:
                if each.fails(facts.latest):
                    assert each.rule.when.holds(facts) is False, (each.rule.risk_id, about.risk_id)
                    left_out += 1
    assert left_out > 1_000
