"""What rules say of real constellations: the patient's value, one voice for one thing, sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.labs import panel
from services.labs.findings import findings
from services.labs.rules import engine, examples, schema
from services.labs.scores.catalogue import CATALOGUE

RULES = engine.default()


def found(example: dict[str, Any]) -> dict[str, engine.Risk]:
    return {risk.risk_id: risk for risk in RULES.find(*examples.panel(example))}


@pytest.mark.requirement("DX-LAB-12")
def test_of_several_values_the_one_is_shown_that_the_rule_speaks_of() -> None:
    assert "150 mg/L" in found({"crp": 4, "hs-crp": 150})["crp-marked"].text_en


@pytest.mark.requirement("DX-LAB-12")
def test_troponin_that_was_below_the_limit_of_detection_has_risen() -> None:
    def troponin(value: object, hour: int) -> dict[str, object]:
        return {
            "id": f"t{hour}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "67151-1"}]},
            "effectiveDateTime": f"2026-11-20T{hour:02}:00:00Z",
            "valueQuantity": value,
        }

    first = troponin({"comparator": "<", "value": 5, "unit": "ng/L"}, 8)
    later = troponin({"value": 1250, "unit": "ng/L"}, 11)
    part = {"subject": {"sex": "male", "age_years": 58}, "observations": [first, later]}
    risks = {r.risk_id: r for r in findings(panel.read(json.dumps(part).encode())).risks}
    assert "troponin-rising" in risks


@pytest.mark.requirement("DX-LAB-12")
def test_a_source_says_whether_it_was_opened() -> None:
    sources = [source for rule in RULES.rules for source in rule.sources]
    assert not [s for s in sources if s.opened and not s.opened.startswith("2026-")]
    assert not [d for d in CATALOGUE.values() if d.opened and not d.opened.startswith("2026-")]


@pytest.mark.requirement("DX-LAB-14")
def test_a_field_that_no_source_has_is_named() -> None:
    text = 'topic = "t"\nname_en = "T"\nname_zh = "题"\n[sources]\ns = { text = "A", url = "b" }\n'
    with pytest.raises(schema.InvalidInput) as caught:
        schema.read(text, "t.toml")
    assert "t.toml: sources.s" in [violation.path for violation in caught.value.violations]
