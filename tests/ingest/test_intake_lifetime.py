"""How long an upload lives: until its case is done, stopped or refused, or nobody wants it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.store import cases
from services.kernel import crypto, subjects
from services.kernel.errors import KeyDestroyed

Maker = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_key_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process see a destroyed key at once, not five seconds later."""
    monkeypatch.setattr(crypto, "SCOPE_CACHE_S", 0.0)


async def manifest_of(world: Any, number: int) -> IntakeManifest:
    event = world.bus.published(subjects.CASE_RECEIVED)[number]
    return IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))


async def finish(world: Any, number: int) -> None:
    """Destroy a case's intake as anonymization does when it is done."""
    event = world.bus.published(subjects.CASE_RECEIVED)[number]
    manifest = await manifest_of(world, number)
    blobs = [each.blob for study in manifest.studies for each in study.instances]
    for ref in (*blobs, manifest.bundle, event.manifest):
        await world.blobs.destroy("demo", ref.scope)


def another(bundle: Maker, number: str = "S-2") -> Any:
    return bundle(identifier={"system": "urn:ehr", "value": number})


@pytest.mark.requirement("DX-ING-13")
async def test_a_stopped_case_leaves_nothing_and_others_keep_theirs(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    await world.upload(ct())
    first = await world.submit(bundle())
    second = await world.submit(another(bundle))
    assert not second.problems, "the second case has images of its own"
    await world.worker.start(1)
    stopped = CaseStopped(case=first.case, step="gateway")
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="1")
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="2")
    with pytest.raises(KeyDestroyed):
        await manifest_of(world, 0)
    kept = await manifest_of(world, 1)
    scopes = {kept.bundle.scope, kept.studies[0].instances[0].blob.scope}
    assert {path.split("/")[2] for path in world.stored()} == scopes
    assert await world.blobs.get("demo", kept.studies[0].instances[0].blob)
    assert (await world.submit(bundle())).duplicate, "a stopped case stays the first answer"
    unknown = CaseStopped(case=first.case)
    unknown.case.case_id = "never-seen"
    await world.worker.stopped(unknown)


@pytest.mark.requirement("DX-ING-13")
async def test_a_case_stopped_before_it_was_published_never_is(
    sqlite_world: Any, bundle: Maker
) -> None:
    sqlite_world.bus.away = True
    answer = await sqlite_world.submit(bundle())
    sqlite_world.bus.away = False
    await sqlite_world.worker.stopped(CaseStopped(case=answer.case))
    await sqlite_world.relay.send_all()
    assert not sqlite_world.bus.published(subjects.CASE_RECEIVED)


@pytest.mark.requirement("DX-ING-14")
async def test_a_study_can_come_again_after_its_intake_was_destroyed(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    content = ct(SOPInstanceUID="1.2.9.1.5")
    await world.upload(content)
    await world.submit(bundle())
    await finish(world, 0)
    without = await world.submit(another(bundle, "S-2"))
    assert [p.reason for p in without.problems] == ["STUDY_NOT_UPLOADED"]
    assert "upload it again" in without.problems[0].message
    (stored,) = (await world.upload(content)).stored
    assert not stored.duplicate
    answer = await world.submit(another(bundle, "S-3"))
    assert not answer.problems
    again = (await manifest_of(world, 2)).studies[0].instances[0]
    assert await world.blobs.get("demo", again.blob) == content


@pytest.mark.requirement("DX-ING-14")
async def test_other_bytes_may_come_once_the_first_are_gone(
    sqlite_world: Any, ct: Maker, bundle: Maker
) -> None:
    await sqlite_world.upload(ct(SOPInstanceUID="1.2.9.1.5"))
    await sqlite_world.submit(bundle())
    corrected = ct(pixel=8, SOPInstanceUID="1.2.9.1.5")
    assert (await sqlite_world.upload(corrected)).problems[0].reason == "OTHER_CONTENT"
    await finish(sqlite_world, 0)
    assert (await sqlite_world.upload(corrected)).stored


@pytest.mark.requirement("DX-ING-14")
async def test_a_second_case_survives_the_end_of_the_first(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    contents = {f"1.2.9.1.{n}": ct(SOPInstanceUID=f"1.2.9.1.{n}") for n in range(3)}
    for content in list(contents.values())[:2]:
        await world.upload(content)
    await world.submit(bundle())
    (again,) = (await world.upload(contents["1.2.9.1.0"])).stored
    assert again.duplicate, "it is here, in the first case; a later one gets its own"
    (late,) = (await world.upload(contents["1.2.9.1.2"])).stored
    assert not late.duplicate
    await world.submit(another(bundle))
    await finish(world, 0)
    second = (await manifest_of(world, 1)).studies[0].instances
    found = {i.sop_instance_uid: await world.blobs.get("demo", i.blob) for i in second}
    assert found == contents


@pytest.mark.requirement("DX-ING-14")
async def test_an_instance_that_arrives_while_a_case_is_accepted_is_not_lost(
    world: Any, ct: Maker, bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload(ct(SOPInstanceUID="1.2.9.1.0"))
    accept, arrived = world.cases.accept, False

    async def with_arrival(draft: cases.Draft) -> Any:
        nonlocal arrived
        if not arrived:
            arrived = True
            await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
        return await accept(draft)

    monkeypatch.setattr(world.cases, "accept", with_arrival)
    await world.submit(bundle())
    assert len((await manifest_of(world, 0)).studies[0].instances) == 2


@pytest.mark.requirement("DX-ING-14")
async def test_an_upload_whose_study_is_taken_meanwhile_begins_another(
    world: Any, ct: Maker, bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload(ct(SOPInstanceUID="1.2.9.1.0"))
    add, taken = world.uploads.add, False

    async def after_a_case(*arguments: Any) -> Any:
        nonlocal taken
        if not taken:
            taken = True
            await world.submit(bundle())
            await finish(world, 0)
        return await add(*arguments)

    monkeypatch.setattr(world.uploads, "add", after_a_case)
    content = ct(SOPInstanceUID="1.2.9.1.1")
    assert (await world.upload(content)).stored
    await world.submit(another(bundle))
    (instance,) = (await manifest_of(world, 1)).studies[0].instances
    assert await world.blobs.get("demo", instance.blob) == content


@pytest.mark.requirement("DX-ING-13")
async def test_the_sweep_destroys_what_no_case_took_in_time(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    await world.upload(ct(StudyInstanceUID="1.2.7"))
    await world.upload(ct())
    await world.submit(bundle())
    world.later(hours=23)
    assert await world.worker.sweep() == 0
    await world.upload(ct(StudyInstanceUID="1.2.8"))
    world.later(hours=2)
    old = (await world.uploads.of_study("demo", await study_key(world, "1.2.7")))[0].scope
    assert await world.worker.sweep() == 1
    assert not await world.uploads.of_study("demo", await study_key(world, "1.2.7"))
    with pytest.raises(KeyDestroyed):
        await world.blobs.vault.scope_key("demo", old, create=True)
    assert len(world.stored()) == 4, "the case's two, its image and the younger upload"
    assert await world.worker.sweep() == 0


@pytest.mark.requirement("DX-ING-13")
async def test_a_submission_that_meets_a_sweep_goes_on_without_the_images(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    await world.upload(ct())
    (upload,) = await world.uploads.of_study("demo", await study_key(world, "1.2.9"))
    await world.blobs.destroy("demo", upload.scope)
    answer = await world.submit(bundle())
    assert [problem.reason for problem in answer.problems] == ["STUDY_NOT_UPLOADED"]
    assert (await world.upload(ct())).stored


@pytest.mark.requirement("DX-ING-13")
async def test_a_destruction_that_was_cut_short_is_finished(
    world: Any, ct: Maker, bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload(ct())
    world.consent.reason = "WITHDRAWN"

    async def dies(*_: object) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as broken:
        broken.setattr(world.blobs, "destroy", dies)
        with pytest.raises(RuntimeError):
            await world.submit(bundle())
    assert world.stored()
    world.restart()
    world.later(minutes=2)
    await world.worker.sweep()
    assert not world.stored()


@pytest.mark.requirement("DX-ING-13")
async def test_what_a_case_took_and_never_finished_is_destroyed_once_the_bus_forgot_it(
    world: Any, ct: Maker, bundle: Maker
) -> None:
    await world.upload(ct())
    await world.submit(bundle())
    world.later(days=59)
    assert await world.worker.sweep() == 0, "a dead letter laid on day 29 can be sent again"
    assert await manifest_of(world, 0)
    world.later(days=10)
    assert await world.worker.sweep() == 2 and not world.stored()


@pytest.mark.requirement("DX-ING-13")
async def test_rows_of_a_finished_case_are_forgotten(world: Any, ct: Maker, bundle: Maker) -> None:
    await world.upload(ct())
    answer = await world.submit(bundle())
    world.later(minutes=2)
    await world.worker.sweep()
    assert len(await world.uploads.of_case("demo", answer.case.case_id)) == 2
    await finish(world, 0)
    assert await world.worker.sweep() == 2
    assert not await world.uploads.of_case("demo", answer.case.case_id)
    assert (await world.submit(bundle())).duplicate


@pytest.mark.requirement("DX-ING-15")
async def test_the_database_and_the_blobs_show_nothing_that_identifies(
    sqlite_world: Any, ct: Maker, bundle: Maker, tmp_path: Path
) -> None:
    await sqlite_world.upload(ct(SOPInstanceUID="1.2.840.99999.1.5"), label="Zhao Tiezhu.dcm")
    await sqlite_world.upload(ct()[:-3], label="Zhao Tiezhu.dcm")
    whole = bundle(
        {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.88888"}],
            "status": "available",
            "subject": {"reference": "Patient/demo-patient"},
        },
        identifier={"system": "urn:ehr", "value": "SUBMISSION-4711"},
    )
    sqlite_world.bus.away = True
    await sqlite_world.submit(whole)
    engine: AsyncEngine = sqlite_world.engine
    await engine.dispose()
    held = await asyncio.to_thread(_bytes_of, tmp_path)
    assert b"ingest_cases" in held
    for path in sqlite_world.stored():
        result = await sqlite_world.store.get_async(path)
        held += path.encode() + bytes(await result.bytes_async())
    planted = ["1.2.840.99999", "1.2.840.88888", "Zhao", "MRN0042917", "1.2.9.1", "SUBMISSION-4711"]
    said = json.dumps(whole["entry"][0], ensure_ascii=False)
    from_bundle = ["DEMO-000001", "演示", "demo-patient", "1964-03-15"]
    assert all(each in said for each in from_bundle)
    planted += [*from_bundle, "DEMO-ACC-0001"]
    for each in planted:
        assert each.encode() not in held, each


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("ingest.db*"))


async def study_key(world: Any, uid: str) -> str:
    return str((await world.blobs.vault.hasher("demo"))("study", uid))
