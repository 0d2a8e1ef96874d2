"""Results inside a DiagnosticReport reach the analysis, as those beside it do."""

from __future__ import annotations

from typing import Any

import pytest

from services.anonymization import submission
from services.anonymization.known import KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel import fhir
from services.kernel.crypto import KeyedHash

NOTHING = KnownStrings()
TIME = "2026-11-24T08:00:00+08:00"


def measured(loinc: str, value: float, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": loinc}]}
    quantity = {"value": value, "unit": "mmol/L", "system": "http://unitsofmeasure.org"}
    made = {"resourceType": "Observation", "status": "final", "code": code, **more}
    return {**made, "valueQuantity": {**quantity, "code": "mmol/L"}}


def labs(*resources: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    patient = {"resourceType": "Patient", "id": "p"}
    entries = [{"resource": each} for each in (patient, *resources)]
    read = submission.read(fhir.dump({"resourceType": "Bundle", "entry": entries}))
    hidden = Pseudonyms(KeyedHash(b"k" * 32), "s")
    document, references = submission.labs_part(read, NOTHING, hidden, {})
    return fhir.parse(document)["observations"], references


def report(*inside: Any) -> dict[str, Any]:
    result = [{"reference": f"#{each['id']}"} for each in inside if isinstance(each, dict)]
    made = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "result": result}
    return {**made, "effectiveDateTime": TIME, "contained": list(inside)}


@pytest.mark.requirement("DX-LDU-01")
def test_a_contained_result_is_analysed_beside_the_others() -> None:
    outer = measured("2823-3", 4.1, id="k", effectiveDateTime=TIME)
    found, references = labs(outer, report(measured("2951-2", 151, id="na")))
    codes = [each["code"]["coding"][0]["code"] for each in found]
    assert codes == ["2823-3", "2951-2"]
    assert found[1]["effectiveDateTime"] == found[0]["effectiveDateTime"]  # its report's
    assert references == {"lab-1": "Observation/k"}  # nothing may refer to one inside another


@pytest.mark.requirement("DX-LDU-01")
def test_members_inside_a_panel_are_analysed() -> None:
    member = measured("2951-2", 151, id="na")
    panel = {"resourceType": "Observation", "id": "p1", "status": "final", "code": {"text": "钠"}}
    inside = {**panel, "contained": [member], "hasMember": [{"reference": "#na"}]}
    assert [each.get("valueQuantity", {}).get("value") for each in labs(inside)[0]] == [None, 151]


@pytest.mark.requirement("DX-LDU-01")
def test_what_is_no_result_inside_is_passed_over() -> None:
    other = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "李"}]}
    broken = {**report(measured("2951-2", 151, id="na"), other), "contained": "x"}
    assert len(labs(measured("2823-3", 4.1, id="k"), report(other, "text"), broken)[0]) == 1
