"""The sample patient is valid R4 and cannot be mistaken for a real person."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.kernel import fhir

SAMPLES = Path(__file__).parents[2] / "samples"
FILES = sorted(
    [SAMPLES / f"{name}.json" for name in ("patient", "consent", "service_request")]
    + list((SAMPLES / "labs").glob("*.json"))
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_sample_is_valid_and_says_that_it_is_fictional(path: Path) -> None:
    resource = fhir.parse(path.read_bytes())
    assert not fhir.problems(resource)
    assert [tag["code"] for tag in resource["meta"]["tag"]] == ["HTEST"]
    for identifier in resource["identifier"]:
        assert identifier["system"] == "urn:dxmesh:demo"
        assert identifier["value"].startswith("DEMO-")


def test_patient_can_not_be_reached() -> None:
    patient = fhir.parse((SAMPLES / "patient.json").read_bytes())
    telecom = [t for holder in (patient, *patient["contact"]) for t in holder["telecom"]]
    for each in telecom:
        fictional = each["value"].endswith("@example.org")
        assert fictional or re.fullmatch(r"\+86 000 0000 000\d", each["value"])
    assert {"演示患者", "DEMO FICTIONAL-PATIENT"} == {name["text"] for name in patient["name"]}
