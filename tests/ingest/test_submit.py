"""A submission becomes one case, whatever goes wrong on the way and however often it is sent."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from dxmesh.ingest.v1 import ingest_service_pb2 as pb
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest

from services.ingest.admission import ConsentDenied
from services.kernel import subjects
from services.kernel.errors import InvalidInput, RemoteError, TooLarge, Unavailable, Violation

Maker = Callable[..., Any]


async def manifest_of(world: Any, number: int = 0) -> IntakeManifest:
    event = world.bus.published(subjects.CASE_RECEIVED)[number]
    return IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))


@pytest.mark.requirement("DX-ING-01")
async def test_a_submission_with_images_becomes_a_case(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    content = ct()
    (stored,) = (await world.upload(content)).stored
    assert stored.study_instance_uid == "1.2.9" and not stored.duplicate
    sent = json.dumps(bundle()).encode()
    answer = await world.submit(sent)
    assert not answer.duplicate and not answer.problems
    (event,) = world.bus.published(subjects.CASE_RECEIVED)
    assert event.case == answer.case and event.subject_key == answer.subject_key
    assert event.case.received_time.ToDatetime().isoformat() == "2026-11-24T08:00:00"
    assert event.case.due_time.seconds - event.case.received_time.seconds == 3600
    manifest = await manifest_of(world)
    assert (manifest.purpose, manifest.recipient) == ("TREAT", "urn:dxmesh:demo|DXMESH-ANALYSIS")
    assert await world.blobs.get("demo", manifest.bundle) == sent
    (study,) = manifest.studies
    (instance,) = study.instances
    assert study.study_instance_uid == "1.2.9" and instance.series_instance_uid == "1.2.9.1"
    assert await world.blobs.get("demo", instance.blob) == content


@pytest.mark.requirement("DX-ING-06")
async def test_a_bundle_that_is_refused_leaves_nothing(
    sqlite_world: Any, ct: Maker, bundle: Maker
) -> None:
    await sqlite_world.upload(ct())
    before = sqlite_world.stored()
    with pytest.raises(InvalidInput):
        await sqlite_world.submit(bundle(without="Consent"))
    with pytest.raises(InvalidInput):
        await sqlite_world.submit(b"{")
    assert sqlite_world.stored() == before
    assert not sqlite_world.consent.recorded and not sqlite_world.consent.asked
    assert not sqlite_world.bus.published(subjects.CASE_RECEIVED)


@pytest.mark.requirement("DX-ING-06")
async def test_a_bundle_over_the_limit_is_cut_off(sqlite_world: Any) -> None:
    sent = 0

    async def messages() -> AsyncIterator[pb.SubmitCaseRequest]:
        nonlocal sent
        header = pb.ContentHeader(tenant="demo", media_type="application/fhir+json")
        yield pb.SubmitCaseRequest(header=header)
        for _ in range(1000):
            sent += 1 << 20
            yield pb.SubmitCaseRequest(chunk=bytes(1 << 20))

    with pytest.raises(TooLarge):
        await sqlite_world.service.SubmitCase(messages(), None)
    assert sent == 33 << 20


@pytest.mark.requirement("DX-ING-09")
async def test_every_consent_is_recorded_then_one_decision_asked(
    sqlite_world: Any, bundle: Maker
) -> None:
    whole = bundle()
    second = copy.deepcopy(whole["entry"][2])
    second["resource"]["identifier"][0]["value"] = "DEMO-CONSENT-0002"
    whole["entry"].append(second)
    answer = await sqlite_world.submit(whole)
    consent = sqlite_world.consent
    assert [json.loads(content) for _, content in consent.recorded] == [
        whole["entry"][2]["resource"],
        second["resource"],
    ]
    assert {subject for subject, _ in consent.recorded} == {answer.subject_key}
    (asked,) = consent.asked
    assert (asked.tenant, asked.purpose, asked.step) == ("demo", "TREAT", "ingest")
    assert asked.recipient == "urn:dxmesh:demo|DXMESH-ANALYSIS"
    assert (asked.case_id, asked.subject_key) == (answer.case.case_id, answer.subject_key)


@pytest.mark.requirement("DX-ING-09")
async def test_a_refused_consent_leaves_no_blob(world: Any, ct: Maker, bundle: Maker) -> None:
    await world.upload(ct())
    await world.upload(ct(StudyInstanceUID="1.2.7"))
    world.consent.reason = "EXPIRED"
    with pytest.raises(ConsentDenied) as caught:
        await world.submit(bundle())
    assert caught.value.reason == "CONSENT_EXPIRED"
    (left,) = world.stored()
    (other,) = await world.uploads.of_study("demo", await study_key(world, "1.2.7"))
    assert other.scope in left, "what another submission may name stays"
    assert not await world.uploads.of_study("demo", await study_key(world, "1.2.9"))
    assert not world.bus.published(subjects.CASE_RECEIVED)
    world.consent.reason = "PERMITTED"
    await world.upload(ct())
    answer = await world.submit(bundle())
    assert not answer.duplicate and not answer.problems, "a new consent begins afresh"


@pytest.mark.requirement("DX-ING-09")
async def test_consent_that_is_away_or_refuses_the_resource_ends_the_submission(
    sqlite_world: Any, bundle: Maker
) -> None:
    sqlite_world.consent.fails = Unavailable("consent is away")
    with pytest.raises(Unavailable):
        await sqlite_world.submit(bundle())
    sqlite_world.consent.fails = RemoteError(
        "the Consent does not conform to R4",
        reason="INVALID_INPUT",
        grpc_status="INVALID_ARGUMENT",
        facts={},
        violations=[Violation("Consent.scope", "missing")],
    )
    with pytest.raises(InvalidInput) as caught:
        await sqlite_world.submit(bundle())
    assert [v.path for v in caught.value.violations] == ["Bundle.entry[2].resource.scope"]
    assert not sqlite_world.stored()


def reordered(bundle: Any) -> bytes:
    turned = {name: bundle[name] for name in reversed(list(bundle))}
    return json.dumps(turned | {"timestamp": "2026-11-24T09:00:00Z"}, indent=2).encode()


@pytest.mark.requirement("DX-ING-10")
async def test_the_same_content_is_the_first_case(world: Any, bundle: Maker) -> None:
    whole = bundle()
    del whole["entry"][1]["resource"]["identifier"]
    first = await world.submit(whole)
    world.later(hours=1)
    second = await world.submit(reordered(whole))
    assert second.duplicate and not first.duplicate
    second.duplicate = False
    assert second == first
    assert len(world.bus.published(subjects.CASE_RECEIVED)) == 1
    whole["entry"][3]["resource"]["valueQuantity"]["value"] = 11.9
    third = await world.submit(whole)
    assert not third.duplicate and third.case.case_id != first.case.case_id


@pytest.mark.requirement("DX-ING-10")
@pytest.mark.parametrize("named", ["bundle", "order"])
async def test_the_same_identifier_is_the_first_case(world: Any, bundle: Maker, named: str) -> None:
    more = {"identifier": {"system": "urn:ehr", "value": "S-1"}} if named == "bundle" else {}
    whole = bundle(**more)
    first = await world.submit(whole)
    whole["entry"][3]["resource"]["valueQuantity"]["value"] = 11.9
    second = await world.submit(whole)
    assert second.duplicate and second.case == first.case
    assert len(world.bus.published(subjects.CASE_RECEIVED)) == 1
    assert len(world.consent.recorded) == 2, "a consent in another version still counts"
    other = await world.submit(whole | {"identifier": {"system": "urn:ehr", "value": "S-2"}})
    assert not other.duplicate and other.case.case_id != first.case.case_id


@pytest.mark.requirement("DX-ING-10")
async def test_ten_at_once_make_one_case(world: Any, ct: Maker, bundle: Maker) -> None:
    await world.upload(ct())
    whole = bundle()
    answers = await asyncio.gather(*(world.submit(whole) for _ in range(10)))
    assert len({answer.case.case_id for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len(world.bus.published(subjects.CASE_RECEIVED)) == 1
    manifest = await manifest_of(world)
    (study,) = manifest.studies
    assert len(study.instances) == 1
    scopes = {manifest.bundle.scope, study.instances[0].blob.scope}
    assert {path.split("/")[2] for path in world.stored()} == scopes, "nothing else is left"


@pytest.mark.requirement("DX-ING-12")
async def test_images_that_are_not_there_are_a_problem_and_the_case_goes_on(
    sqlite_world: Any, ct: Maker, bundle: Maker
) -> None:
    def imaging(uid: str, **more: Any) -> dict[str, Any]:
        return {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": "urn:dicom:uid", "value": uid}] if uid else [],
            "status": "available",
            "subject": {"reference": "Patient/demo-patient"},
        } | more

    for number in range(2):
        await sqlite_world.upload(ct(SOPInstanceUID=f"1.2.9.1.{number}"))
    modality = {"modality": {"code": "CT"}, "numberOfInstances": 3}
    listed = [{"uid": "1.2.9.1"} | modality, {"uid": "1.2.9.2"} | modality]
    whole = bundle(
        imaging("urn:oid:1.2.9", series=listed),
        imaging("1.2.5"),
        imaging(""),
    )
    del whole["entry"][6]["resource"]["identifier"]
    answer = await sqlite_world.submit(whole)
    found = {problem.source: problem.reason for problem in answer.problems}
    assert found == {
        "Bundle.entry[4].resource.series[0]": "INSTANCES_NOT_UPLOADED",
        "Bundle.entry[4].resource.series[1]": "SERIES_NOT_UPLOADED",
        "Bundle.entry[5].resource": "STUDY_NOT_UPLOADED",
        "Bundle.entry[6].resource": "STUDY_NOT_NAMED",
    }
    manifest = await manifest_of(sqlite_world)
    assert [len(study.instances) for study in manifest.studies] == [2]
    assert list(manifest.problems) == list(answer.problems)
    again = await sqlite_world.submit(whole)
    assert again.duplicate and list(again.problems) == list(answer.problems)


async def study_key(world: Any, uid: str) -> str:
    return str((await world.blobs.vault.hasher("demo"))("study", uid))
