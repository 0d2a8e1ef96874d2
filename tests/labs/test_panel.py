"""Any panel is read: nothing crashes, nothing is dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import InvalidInput
from services.labs import panel
from services.labs.analytes import CODES
from services.labs.findings import findings
from services.labs.interpret import Result, interpret

MAN_62 = {"sex": "male", "age_years": 62, "pregnant": None}


UCUM = "http://unitsofmeasure.org"


def observation(loinc: str = "2823-3", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": 4.1, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def value(number: object, unit: str = "mmol/L", **more: Any) -> dict[str, Any]:
    return {"value": number, "unit": unit, **more}


def run(*observations: object, subject: object = MAN_62) -> list[Result]:
    content = json.dumps({"subject": subject, "observations": observations}).encode()
    part = panel.read(content)
    return interpret(part.measured, part.subject)


@pytest.mark.requirement("DX-LAB-04")
@pytest.mark.parametrize("number", ["1E999999", "-1E999999", "1E-999999", "9" * 4000, "0E999999"])
def test_number_of_any_size_is_answered(number: str) -> None:
    content = json.dumps(
        {
            "subject": MAN_62,
            "observations": [
                observation(valueQuantity=value(0), referenceRange=[{"low": {"value": 0}}])
            ],
        }
    )
    message = findings(panel.read(content.replace('"value": 0', f'"value": {number}').encode()))
    assert message.results[0].value_text == number
    assert message.results[0].not_interpreted.reason == "VALUE_OUT_OF_SCALE"
    only_range = json.dumps(
        {"subject": MAN_62, "observations": [observation(referenceRange=[{"low": {"value": 0}}])]}
    )
    message = findings(panel.read(only_range.replace('"value": 0', f'"value": {number}').encode()))
    assert message.results[0].range_source.startswith("WS/T")


@pytest.mark.requirement("DX-LAB-04")
def test_components_are_results_of_their_own() -> None:
    part = {k: v for k, v in observation().items() if k in ("code", "valueQuantity")}
    both = observation(id="p", component=[part, part])
    assert [r.measured.observation_id for r in run(both)] == ["p", "p#1", "p#2"]
    group = observation(id="p", component=[part, part], valueQuantity=None)
    assert [r.measured.observation_id for r in run(group)] == ["p#1", "p#2"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "status",
                    "code",
                    "coding",
                    "system",
                    "value",
                    "unit",
                    "valueQuantity",
                    "low",
                    "referenceRange",
                    "component",
                    "hasMember",
                    "age",
                    "appliesTo",
                    "effectivePeriod",
                    "valueRange",
                    "valueRatio",
                    "valueString",
                    "numerator",
                    "denominator",
                    "comparator",
                    "specimen",
                    "contained",
                    "text",
                    "display",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


CODED = st.builds(
    lambda loinc, number, unit, extra: {
        **observation(loinc, valueQuantity=value(number, unit)),
        **extra,
    },
    st.sampled_from(sorted(CODES)),
    JSON,
    st.sampled_from(["mmol/L", "g/L", "%", "U/L", "10*9/L", "", "mg/dL", "{titer}"]),
    st.dictionaries(
        st.sampled_from(["referenceRange", "component", "status", "id", "specimen", "code"]), JSON
    ),
)


@pytest.mark.requirement("DX-LAB-04")
@settings(max_examples=120, deadline=None)
@given(st.lists(JSON | CODED, max_size=5), JSON)
def test_nothing_crashes_and_nothing_is_dropped(observations: list[Any], subject: Any) -> None:
    content = json.dumps({"subject": subject, "observations": observations}).encode()
    message = findings(panel.read(content))
    expected: list[str] = []
    for number, each in enumerate(observations, 1):
        found = each if isinstance(each, dict) else {}
        own_id = found.get("id")
        name = own_id if isinstance(own_id, str) and own_id else f"lab-{number}"
        parts = found.get("component")
        count = len(parts) if isinstance(parts, list) else 0
        has_value = any(k.startswith("value") for k in found)
        expected += [name] * (has_value or not count)
        expected += [f"{name}#{n}" for n in range(1, count + 1)]
    assert [r.observation_id for r in message.results] == expected
    for result in message.results:
        assert bool(result.flag) != bool(result.not_interpreted.reason)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"observations": {}}', b"\xff"])
def test_what_is_not_a_labs_part_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        panel.read(content)
