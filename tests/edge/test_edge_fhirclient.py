"""`fhirclient`, SMART Health IT's own client for Python, unmodified, with a static token.

Its launch against our SMART server is in tests/gateway/smart.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

pytest.importorskip("fhirclient", reason="fhirclient is not installed")

from fhirclient import client as smart
from fhirclient import server as server_errors
from fhirclient.models.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient

pytestmark = pytest.mark.requirement("DX-ATK-10")


@pytest.fixture
def server(edge: Any) -> Any:
    """A client's server object with the EHR's token on its session."""
    made = smart.FHIRClient(settings={"app_id": "edge", "api_base": edge.fhir})
    made.server.session.headers.update(edge.bearer())
    return made.server


def patient(family: str) -> Patient:
    """Return a Patient that is not stored yet."""
    return Patient(
        {
            "resourceType": "Patient",
            "name": [{"family": family, "given": ["Smart"]}],
            "birthDate": "1975-07-07",
            "identifier": [{"system": "urn:fhirclient", "value": family}],
        }
    )


def test_the_statement_is_read(server: Any) -> None:
    statement = server.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert {r.type for r in statement.rest[0].resource} >= {"Patient", "DiagnosticReport"}


def test_create_read_update_delete(server: Any) -> None:
    made = patient("Fccrud").create(server)
    one = Patient.read(made["id"], server)
    assert one.name[0].family == "Fccrud" and one.meta.versionId == "1"
    one.gender = "male"
    assert one.update()["meta"]["versionId"] == "2"
    assert Patient.read(one.id, server).gender == "male"
    one.delete()
    with pytest.raises(requests.HTTPError) as gone:
        Patient.read(one.id, server)
    assert gone.value.response.status_code == 410
    with pytest.raises(server_errors.FHIRNotFoundException):
        Patient.read("fhirclient-nobody", server)


def test_search_includes_and_every_page(server: Any) -> None:
    made = patient("Fcsearch").create(server)
    subject = {"reference": f"Patient/{made['id']}"}
    for n in range(25):
        Observation(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "urn:fhirclient", "code": f"c{n}"}]},
                "subject": subject,
                "valueQuantity": {"value": 1.5 + n},
            }
        ).create(server)
    found = Patient.where({"family": "Fcsearch", "birthdate": "1975-07-07"})
    assert [p.id for p in found.perform_resources(server)] == [made["id"]]
    search = Observation.where({"patient": made["id"], "_count": "10"})
    assert len(list(search.perform_resources_iter(server))) == 25
    bundles = list(search.perform_iter(server))
    assert [len(b.entry) for b in bundles] == [10, 10, 5]
    chained = Observation.where({"subject:Patient.family": "Fcsearch", "_count": "50"})
    assert len(chained.perform_resources(server)) == 25
    both = Observation.where({"code": "urn:fhirclient|c3"}).include("subject")
    kinds = [r.resource_type for r in both.perform_resources(server)]
    assert sorted(kinds) == ["Observation", "Patient"]
    either = Observation.where({"patient": made["id"], "value-quantity": "ge25"})
    assert len(either.perform_resources(server)) == 1


def test_a_transaction(server: Any) -> None:
    """fhirclient posts it to the base with a slash at the end."""
    bundle = Bundle()
    bundle.type = "transaction"
    entry, other = BundleEntry(), BundleEntry()
    entry.fullUrl = "urn:uuid:4fd9bd6a-26a2-4a1e-9f37-37b4a3f80b11"
    entry.resource = patient("Fcbundle")
    other.resource = Observation(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "a"},
            "subject": {"reference": entry.fullUrl},
        }
    )
    for one, kind in ((entry, "Patient"), (other, "Observation")):
        one.request = BundleEntryRequest({"method": "POST", "url": kind})
    bundle.entry = [entry, other]
    answer = Bundle(bundle.create(server))
    assert answer.type == "transaction-response"
    assert [e.response.status[:3] for e in answer.entry] == ["201", "201"]
    about = Observation.where({"subject:Patient.family": "Fcbundle"})
    assert len(about.perform_resources(server)) == 1


def test_history_and_everything(server: Any) -> None:
    made = patient("Fchistory").create(server)
    one = Patient.read(made["id"], server)
    one.active = True
    one.update()
    history = Bundle.read_from(f"Patient/{one.id}/_history", server)
    assert history.type == "history" and len(history.entry) == 2
    assert [e.resource.meta.versionId for e in history.entry] == ["2", "1"]
    everything = Bundle.read_from(f"Patient/{one.id}/$everything", server)
    assert everything.entry[0].resource.id == one.id


def test_the_report_of_a_case(server: Any, edge: Any) -> None:
    edge.do(edge.setting.compose(edge.world, edge.setting.sample_report()))
    report = DiagnosticReport.where({"status": "partial"}).perform_resources(server)[0]
    assert report.presentedForm[0].contentType == "application/pdf"
    finding = report.result[0].resolved(Observation)
    assert finding.resource_type == "Observation"
    pdf = server.request_data(report.presentedForm[0].url, headers={"Accept": "application/pdf"})
    assert pdf.startswith(b"%PDF-")


def test_refusals_are_its_exceptions(server: Any, edge: Any) -> None:
    stranger = smart.FHIRClient(settings={"app_id": "edge", "api_base": edge.fhir}).server
    with pytest.raises(server_errors.FHIRUnauthorizedException):
        Patient.read("1", stranger)
    report = DiagnosticReport.where({}).perform_resources(server)
    if report:
        with pytest.raises(server_errors.FHIRPermissionDeniedException):
            report[0].delete()
