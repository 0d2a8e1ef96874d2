"""Results read outside a mesh: any FHIR shape, and the rows that a tenant's table lacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.kernel.errors import InvalidInput
from services.labs import desk, local_codes, tables

PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "2026-11-10"}


def observation(
    name: str, unit: str = "mmol/L", code: str = "", number: float = 4.0
) -> dict[str, Any]:
    coding = [{"system": "urn:lis", "code": code}] if code else []
    return {
        "resourceType": "Observation",
        "status": "final",
        "effectiveDateTime": "2026-11-20T08:00:00+08:00",
        "code": {"text": name, "coding": coding},
        "valueQuantity": {"value": number, "unit": unit},
    }


def bundle(*resources: dict[str, Any]) -> str:
    entries = [{"resource": each} for each in resources]
    return json.dumps({"resourceType": "Bundle", "entry": entries})


def ask(what: str, *documents: str, **more: Any) -> dict[str, Any]:
    return desk.answer({"do": what, "documents": [*documents], **more})


@pytest.mark.requirement("DX-LDU-08")
@pytest.mark.parametrize(
    "document",
    [
        bundle(PATIENT, observation("血钾")),
        json.dumps(observation("血钾")),
        json.dumps([observation("血钾")]),
        json.dumps({"observations": [observation("血钾")]}),
        json.dumps({"resourceType": "DiagnosticReport", "contained": [observation("血钾")]}),
    ],
)
def test_results_of_any_shape_are_interpreted(document: str) -> None:
    (result,) = ask("interpret", document)["results"]
    assert (result["analyte_id"], result["matched_by"]) == ("k", "MATCHED_BY_NAME")


@pytest.mark.requirement("DX-LDU-08")
def test_the_person_is_read_and_what_is_stated_goes_first() -> None:
    newborn = ask("interpret", bundle(PATIENT, observation("血钾")))["results"][0]
    assert newborn["not_interpreted"]["reason"] == "NO_RANGE_FOR_AGE"
    stated = {"sex": "female", "age_years": 40}
    adult = ask(
        "interpret", bundle(PATIENT, observation("血钾")), subject=stated | {"age_days": None}
    )
    assert adult["results"][0]["flag"] == "FLAG_NORMAL"


@pytest.mark.requirement("DX-LDU-08")
def test_what_a_table_lacks_is_listed_once_ready_to_fill_in() -> None:
    found = ask(
        "unmapped",
        bundle(observation("新项目", code="X9"), observation("血钾", code="K1")),
        bundle(observation("新项目", code="X9"), observation("葡萄糖")),
        mappings="system\tcode\tname\tspecimen\tunit\tloinc\tanalyte\nurn:lis\tK1\t\t\t\t2823-3\t\n",
    )
    assert [(row["code"], row["name"], row["results"]) for row in found["rows"]] == [
        ("X9", "新项目", 2),
        ("", "葡萄糖", 1),
    ]
    lines = ["\t".join(found["columns"])]
    for row in found["rows"]:
        filled = row | {"analyte": "k" if row["code"] else "glucose"}
        lines.append("\t".join(str(filled[column]) for column in found["columns"]))
    local_codes.load(tables.parse("\n".join(lines)))


@pytest.mark.requirement("DX-LDU-08")
@pytest.mark.parametrize(
    ("document", "reason"),
    [("{}", "NOT_A_LABS_PART"), ("[]", "NOT_A_LABS_PART"), ("x", "NOT_JSON")],
)
def test_what_holds_no_result_is_refused(document: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask("interpret", document)
    assert refused.value.reason == reason
