"""Images that came after their case had begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import FileDataset

from services.kernel import subjects
from services.kernel.errors import KeyDestroyed, Unavailable
from tests.anonymization.zone import NOTE, POTASSIUM, Mesh, send


@pytest.mark.requirement("DX-RCV-06")
async def test_late_images_make_a_part_that_supersedes_the_first_and_holds_all_slices(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    first, late, other = (as_bytes(ct_file(InstanceNumber=n)) for n in (1, 2, 3))
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), [[first]]))
    event = await mesh.receive_late([late])
    await send(mesh, event, "late")
    done, more = mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    assert [(p.part_id, p.supersedes) for p in more.parts] == [("imaging-1.1", "imaging-1")]
    assert (done.supplement, more.supplement) == (0, 1)
    _, part = mesh.bus.published(subjects.PART_IMAGING)
    assert len(await mesh.files_of(part.blobs[0])) == 2
    assert len(mesh.bus.published(subjects.PART_LABS)) == 1
    with pytest.raises(KeyDestroyed):
        await mesh.intake.get("demo", event.manifest)
    identity = await mesh.store.get("demo", "case-1")
    for ref in part.blobs:
        assert set(await mesh.files_of(ref)) <= set(identity.uids)
    await send(mesh, await mesh.receive_late([other], 2, series=1), "later")
    third = mesh.bus.published(subjects.PART_IMAGING)[2]
    assert third.part_id == "imaging-1.2"
    assert [len(await mesh.files_of(ref)) for ref in third.blobs] == [2, 1]
    assert mesh.consent.asked[-1].purpose == "TREAT"
    text = await mesh.everything()
    assert "赵铁柱" not in text and "MRN0042917" not in text
    assert not mesh.bus.dead


@pytest.mark.requirement("DX-RCV-06")
async def test_a_supplement_done_again_after_a_crash_is_the_same(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    first, late = (as_bytes(ct_file(InstanceNumber=n)) for n in (1, 2))
    await send(mesh, await mesh.receive(bundle(NOTE, []), [[first]]))
    event = await mesh.receive_late([late])
    announce = mesh.worker._announce

    async def dies(*_: Any) -> None:
        raise Unavailable("killed before the announcement")

    mesh.worker._announce = dies  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await mesh.worker.handle(event)
    mesh.worker._announce = announce  # type: ignore[method-assign]
    await mesh.worker.handle(event)
    parts = mesh.bus.published(subjects.PART_IMAGING)
    assert [p.part_id for p in parts] == ["imaging-1", "imaging-1.1"]
    assert len(await mesh.files_of(parts[1].blobs[0])) == 2
    more = mesh.bus.published(subjects.CASE_DEIDENTIFIED)[1]
    assert [(p.part_id, p.supersedes) for p in more.parts] == [("imaging-1.1", "imaging-1")]


@pytest.mark.requirement("DX-RCV-06")
async def test_late_images_wait_for_their_case(
    mesh: Mesh, ct_file: Callable[..., FileDataset], as_bytes: Callable[[FileDataset], bytes]
) -> None:
    with pytest.raises(Unavailable):
        await mesh.worker.handle(await mesh.receive_late([as_bytes(ct_file())]))


@pytest.mark.requirement("DX-RCV-06")
async def test_late_images_that_are_given_up_leave_their_case_as_it_is(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    await send(mesh, await mesh.receive(bundle(NOTE, []), [[as_bytes(ct_file())]]))
    (part,) = mesh.bus.published(subjects.PART_IMAGING)
    event = await mesh.receive_late([as_bytes(ct_file(InstanceNumber=2))])
    await mesh.worker.give_up(event, Unavailable("the consent service is away for a day"))
    assert mesh.bus.published(subjects.CASE_STOPPED) == []
    assert len(await mesh.files_of(part.blobs[0])) == 1
    await mesh.store.get("demo", "case-1")
    await mesh.worker.handle(event)  # the dead letter, sent again
    assert len(mesh.bus.published(subjects.PART_IMAGING)) == 2


@pytest.mark.requirement("DX-RCV-08")
async def test_late_images_without_consent_are_destroyed_and_their_case_stays(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    first, late = (as_bytes(ct_file(InstanceNumber=n)) for n in (1, 2))
    await send(mesh, await mesh.receive(bundle(NOTE, []), [[first]]))
    event = await mesh.receive_late([late])
    mesh.consent.permitted = False
    await send(mesh, event, "late")
    (part,) = mesh.bus.published(subjects.PART_IMAGING)
    assert len(await mesh.files_of(part.blobs[0])) == 1
    await mesh.store.get("demo", "case-1")
    assert mesh.bus.published(subjects.CASE_STOPPED) == []
    assert len(mesh.bus.published(subjects.CASE_DEIDENTIFIED)) == 1
    with pytest.raises(KeyDestroyed):
        await mesh.intake.get("demo", event.manifest)
