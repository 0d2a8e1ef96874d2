"""`fhirpy` as its documentation uses it, unmodified, against the served gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

fhirpy = pytest.importorskip("fhirpy", reason="fhirpy is not installed")

from fhirpy import AsyncFHIRClient, SyncFHIRClient  # noqa: E402
from fhirpy.base.exceptions import (  # noqa: E402
    AuthorizationError,
    ForbiddenError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)

pytestmark = pytest.mark.requirement("DX-ATK-10")


@pytest.fixture
def client(edge: Any) -> AsyncFHIRClient:
    """The asynchronous client with the EHR's token."""
    return AsyncFHIRClient(edge.fhir, authorization=edge.bearer()["Authorization"])


def person(family: str, **more: Any) -> dict[str, Any]:
    """Return a Patient's members."""
    return {
        "name": [{"family": family, "given": ["Py"]}],
        "identifier": [{"system": "urn:fhirpy", "value": family}],
        "birthDate": "1980-01-31",
        **more,
    }


async def test_create_read_update_delete(client: AsyncFHIRClient) -> None:
    patient = client.resource("Patient", **person("Crud"))
    await patient.save()
    assert patient.id and patient["meta"]["versionId"] == "1"
    again = await client.reference("Patient", patient.id).to_resource()
    assert again["name"][0]["family"] == "Crud"
    again["gender"] = "female"
    await again.save()
    assert again["meta"]["versionId"] == "2"
    await patient.refresh()
    assert patient["gender"] == "female"
    await patient.refresh()
    assert patient["meta"]["versionId"] == "2"
    await patient.delete()
    with pytest.raises(ResourceNotFound):
        await client.resources("Patient").search(_id=patient.id).get()
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", patient.id)


async def test_create_with_an_id(client: AsyncFHIRClient) -> None:
    patient = client.resource("Patient", id="fhirpy-own-id", **person("Own"))
    await patient.save()
    assert (await client.get("Patient", "fhirpy-own-id"))["id"] == "fhirpy-own-id"


async def test_patch(client: AsyncFHIRClient) -> None:
    patient = client.resource("Patient", **person("Patch", active=True))
    await patient.save()
    await patient.patch(active=False, gender="other")
    assert patient["active"] is False and patient["name"][0]["family"] == "Patch"
    await client.patch("Patient", patient.id, birthDate=None)
    stored = await client.get("Patient", patient.id)
    assert "birthDate" not in stored and stored["gender"] == "other"
    changed = await patient.save(fields=["active"])
    assert changed["meta"]["versionId"]


async def test_search(client: AsyncFHIRClient) -> None:
    doctor = client.resource("Practitioner", name=[{"family": "Fhirpydoctor"}])
    await doctor.save()
    patient = client.resource(
        "Patient", **person("Searched", generalPractitioner=[doctor.to_reference()])
    )
    await patient.save()
    for value in (61.5, 62.25, 70):
        await client.resource(
            "Observation",
            status="final",
            code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            subject=patient.to_reference(),
            effectiveDateTime=f"2026-01-{int(value) % 28 + 1:02}",
            valueQuantity={
                "value": value,
                "unit": "/min",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            },
        ).save()
    observations = client.resources("Observation").search(patient=patient)
    assert len(await observations.fetch()) == 3
    assert len(await observations.search(value_quantity__gt=62).fetch()) == 2
    assert len(await observations.search(code="http://loinc.org|8867-4").limit(2).fetch()) == 2
    found = await observations.sort("-date").first()
    assert found["valueQuantity"]["value"] == 70
    chained = client.resources("Observation").search(subject__Patient__name="Searched")
    assert len(await chained.fetch()) == 3
    twice = client.resources("Observation").search(
        patient__Patient__general_practitioner__Practitioner__name="fhirpydoctor"
    )
    assert len(await twice.fetch()) == 3
    reverse = client.resources("Patient").has("Observation", "patient", code="8867-4")
    assert patient.id in [p.id for p in await reverse.fetch()]
    both = await observations.include("Observation", "subject").fetch_raw()
    modes = sorted(e["search"]["mode"] for e in both["entry"])
    assert modes == ["include", "match", "match", "match"]
    people = client.resources("Patient").search(_id=patient.id)
    around = await people.revinclude("Observation", "subject").fetch_raw()
    assert len(around["entry"]) == 4
    only = await people.elements("birthDate").get()
    assert only["birthDate"] and "name" not in only


async def test_every_page(client: AsyncFHIRClient) -> None:
    for n in range(23):
        await client.resource("Patient", **person("Paged", gender="other")).save()
        assert n < 23
    pages = client.resources("Patient").search(family="Paged").limit(5)
    found = [p.id async for p in pages]
    assert len(found) == len(set(found)) == 23
    assert len(await pages.fetch_all()) == 23


async def test_count(edge: Any) -> None:
    """fhirpy counts with a parameter of its own, which a strict server may refuse."""
    client = AsyncFHIRClient(
        edge.fhir,
        authorization=edge.bearer()["Authorization"],
        extra_headers={"Prefer": "handling=lenient"},
    )
    await client.resource("Patient", **person("Counted")).save()
    assert await client.resources("Patient").search(family="Counted").count() == 1


async def test_get_or_create_makes_one(client: AsyncFHIRClient) -> None:
    patients = client.resources("Patient").search(identifier="urn:fhirpy|Conditional")
    first, made = await patients.get_or_create(client.resource("Patient", **person("Conditional")))
    second, again = await patients.get_or_create(
        client.resource("Patient", **person("Conditional"))
    )
    assert (made, again) == (True, False) and first["id"] == second["id"]


async def test_conditional_update_and_delete(client: AsyncFHIRClient) -> None:
    patients = client.resources("Patient").search(identifier="urn:fhirpy|Upsert")
    first, made = await patients.update(client.resource("Patient", **person("Upsert")))
    assert made
    second, made = await patients.update(
        client.resource("Patient", **person("Upsert", gender="male"))
    )
    assert not made and first["id"] == second["id"] and second["gender"] == "male"
    _, status = await patients.delete()
    assert status in (200, 204)
    assert await patients.first() is None


async def test_conditional_with_two_matches_is_refused(client: AsyncFHIRClient) -> None:
    for _ in range(2):
        await client.resource("Patient", **person("Twins")).save()
    patients = client.resources("Patient").search(identifier="urn:fhirpy|Twins")
    with pytest.raises(MultipleResourcesFound):
        await patients.update(client.resource("Patient", **person("Twins")))
    with pytest.raises(MultipleResourcesFound):
        await patients.get()


async def test_validation(client: AsyncFHIRClient) -> None:
    assert await client.resource("Patient", **person("Valid")).is_valid()
    wrong = client.resource("Patient", **person("Invalid", birthDate="31.01.1980"))
    assert not await wrong.is_valid()
    with pytest.raises(OperationOutcome):
        await wrong.save()


async def test_transaction_and_batch(client: AsyncFHIRClient) -> None:
    uuid = "urn:uuid:0c2fa7d3-2a7e-4ee4-9d7c-7a1f0e8f3b55"
    transaction = client.resource(
        "Bundle",
        type="transaction",
        entry=[
            {
                "fullUrl": uuid,
                "resource": {"resourceType": "Patient", **person("Bundled")},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "bundled"},
                    "subject": {"reference": uuid},
                },
                "request": {"method": "POST", "url": "Observation"},
            },
        ],
    )
    answer = await client.execute("", data=transaction.serialize())
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["201", "201"]
    patient = await client.resources("Patient").search(family="Bundled").get()
    observed = await client.resources("Observation").search(patient=patient.id).get()
    assert observed["subject"]["reference"] == f"Patient/{patient.id}"
    reads = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": f"Patient/{patient.id}"}},
            {"request": {"method": "GET", "url": "Patient/fhirpy-nobody"}},
        ],
    }
    answer = await client.execute("", data=reads)
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["200", "404"]


async def test_history_and_operations(client: AsyncFHIRClient) -> None:
    patient = client.resource("Patient", **person("History"))
    await patient.save()
    patient["gender"] = "male"
    await patient.save()
    history = await client.execute(f"Patient/{patient.id}/_history", method="get")
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"]
    everything = await patient.execute("$everything", method="get")
    assert everything["entry"][0]["resource"]["id"] == patient.id


async def test_errors(client: AsyncFHIRClient, edge: Any) -> None:
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", "fhirpy-nobody")
    with pytest.raises(OperationOutcome) as caught:
        await client.resources("Patient").search(shoe_size="43").fetch()
    assert caught.value.resource["issue"][0]["severity"] == "error"
    with pytest.raises(AuthorizationError):
        await AsyncFHIRClient(edge.fhir, authorization="Bearer wrong").get("Patient", "1")


@pytest.fixture
def report(edge: Any) -> Iterator[Any]:
    """A report that the mesh made."""
    bundle = edge.setting.sample_report()
    yield edge.do(edge.setting.compose(edge.world, bundle))


def test_the_report_of_a_case_is_found(edge: Any, report: Any) -> None:
    client = SyncFHIRClient(edge.fhir, authorization=edge.bearer()["Authorization"])
    reports = client.resources("DiagnosticReport").search(status="partial")
    found = reports.include("DiagnosticReport", "result").fetch_raw()
    kinds = {e["resource"]["resourceType"] for e in found["entry"]}
    assert {"DiagnosticReport", "Observation"} <= kinds
    one = reports.first()
    labels = [c["code"] for c in one["meta"]["security"]]
    assert "AIAST" in labels
    with pytest.raises(ForbiddenError):
        one["status"] = "final"
        one.save()
