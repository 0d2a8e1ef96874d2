"""What is told of a critical result that is no number: a limit, a word."""

from __future__ import annotations

import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS
from dxmesh.event.v1.critical_found_pb2 import (
    CRITICAL_DIRECTION_HIGH,
    CriticalFound,
    CriticalResult,
)
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings, LabResult

from services.gateway.critical import statements
from services.gateway.web import words


@pytest.mark.requirement("DX-CRI-04")
@pytest.mark.parametrize(
    ("value", "unit", "canonical", "limit_unit", "said"),
    [
        (">8.0", "", "", "{INR}", ">8.0"),
        ("HI", "", "", "mmol/L", "HI"),
        ("6.8", "mmol/L", "6.8", "mmol/L", "6.8 mmol/L"),
        ("19", "mg/dL", "1.055", "mmol/L", "19 mg/dL (= 1.055 mmol/L)"),
    ],
)
def test_another_unit_is_told_where_there_is_a_value_in_it(
    value: str, unit: str, canonical: str, limit_unit: str, said: str
) -> None:
    result = LabResult(observation_id="o", display_en="X", value_text=value, unit_text=unit)
    if canonical:
        result.canonical_value, result.canonical_unit = canonical, limit_unit
    told = CriticalResult(
        result_id="o", direction=CRITICAL_DIRECTION_HIGH, limit="1", limit_unit=limit_unit
    )
    event = CriticalFound(kind=PART_KIND_LABS, results=[told])
    content = LabFindings(results=[result]).SerializeToString()
    (found,) = statements.statements(event, content, words.Words("en"), 0)
    assert found.value == said
