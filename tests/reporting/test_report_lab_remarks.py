"""What a laboratory result says of itself beside its flag reaches the reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel import fhir
from services.reporting.compose import compose
from services.reporting.draft import Draft


def observation(draft: Draft, result: pb.LabResult, name: str) -> dict[str, Any]:
    (part,) = (each for each in draft.parts if each.part_id == "labs-1")
    found = part.findings
    assert isinstance(found, pb.LabFindings)
    for field in (found.results, found.scores, found.risks):
        del field[:]
    found.results.append(result)
    made = fhir.parse(fhir.dump(compose(draft).bundle))
    assert fhir.problems(made) == []
    resources = [entry["resource"] for entry in made["entry"]]
    (one,) = (r for r in resources if r.get("code", {}).get("text") == name)
    return dict(one)


@pytest.mark.requirement("DX-LDU-07")
def test_remarks_become_notes_and_an_own_code_stands_where_loinc_has_none(
    draft: Callable[..., Draft],
) -> None:
    result = pb.LabResult(
        observation_id="lab-1",
        analyte_id="gastrin-17",
        display_zh="胃泌素17",
        display_en="Gastrin 17",
        value_text=">40",
        unit_text="pmol/L",
        comparator=">",
        canonical_unit="pmol/L",
        canonical_low="40",
        flag=pb.FLAG_HIGH,
        matched_by=pb.MATCHED_BY_NAME,
        remarks=[Refusal(reason="RESULT_IN_FUTURE"), Refusal(reason="CRITICAL_NOT_EXCLUDED")],
    )
    made = observation(draft("zh"), result, "胃泌素17")
    assert made["code"]["coding"] == [{"system": "urn:dxmesh:analyte", "code": "gastrin-17"}]
    assert made["valueQuantity"]["comparator"] == ">"
    notes = " ".join(each["text"] for each in made["note"])
    assert "晚于接收时间" in notes and "不能排除危急值" in notes
