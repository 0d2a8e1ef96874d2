"""The report as an EHR reads it from the gateway is valid for two validators not ours."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli import report_view, send
from services.kernel import fhir
from tests.flow.running import SAMPLES, Running
from tests.servers import medplum

PAPERS = [SAMPLES / f"{name}.json" for name in ("patient", "consent", "service_request")]


@pytest.fixture(scope="module")
def bundle(running: Running) -> dict[str, Any]:
    """The report of the sample patient with everything it refers to, in English."""
    note = SAMPLES / "notes" / "admission_en.txt"
    case_id = running.submit(*PAPERS, SAMPLES / "labs", SAMPLES / "ct", note)
    running.wait_for(case_id)
    task = running.ehr.get(f"/fhir/Task/{case_id}")
    found: dict[str, Any] = fhir.parse(send.collection(running.ehr, report_view.report_of(task)))
    return found


@pytest.mark.requirement("DX-REP-01")
def test_fhir_resources_finds_nothing_wrong(bundle: dict[str, Any]) -> None:
    assert len(bundle["entry"]) > 20
    assert fhir.problems(bundle) == []


@pytest.mark.requirement("DX-REP-01")
def test_medplum_finds_nothing_wrong_with_what_the_gateway_serves(
    bundle: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    validate = medplum.validator(request.config.cache.mkdir("medplum"))
    assert validate(bundle) == []


@pytest.mark.requirement("DX-REP-01")
def test_each_model_has_a_device_and_a_provenance_that_can_be_read(
    bundle: dict[str, Any], running: Running
) -> None:
    resources = [entry["resource"] for entry in bundle["entry"]]
    devices = {each["device"]["reference"] for each in resources if "device" in each}
    # The network, the laboratory rules, the rules for notes, and those of suggestions.
    assert len(devices) == 4
    for reference in devices:
        device = running.ehr.get(f"/fhir/{reference}")
        assert device["version"][0]["value"]
        provenance = running.ehr.get(f"/fhir/Provenance?agent={reference}")["entry"][0]["resource"]
        systems = {each["what"]["identifier"]["system"] for each in provenance["entity"]}
        # Suggestions are made of what the other parts found: they have no input of their own.
        is_joint = device["deviceName"][0]["name"] == "dxmesh-suggestion-rules"
        assert systems == {"urn:dxmesh:model-card"} | (set() if is_joint else {"urn:dxmesh:sha256"})
