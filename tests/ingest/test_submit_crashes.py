"""A crash at any step of a submission, and a retry, make one case; two at once see each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.ingest.store import cases
from services.kernel import subjects
from tests.ingest.laboratory import Laboratory, obx, told
from tests.ingest.test_submit import manifest_of

Maker = Callable[..., Any]

STEPS = ("open_submission", "put bundle", "put manifest", "accept", "committed", "send")


@pytest.mark.requirement("DX-ING-11")
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_and_a_retry_make_one_case(
    world: Any, ct: Maker, bundle: Maker, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload(ct())
    break_at(world, step, monkeypatch)
    with pytest.raises(Killed):
        await world.submit(bundle())
    monkeypatch.undo()
    world.restart()
    answer = await world.submit(bundle())
    await world.relay.send_all()
    (event,) = world.bus.published(subjects.CASE_RECEIVED)
    assert event.case == answer.case
    (study,) = (await manifest_of(world)).studies
    assert await world.blobs.get("demo", study.instances[0].blob)
    world.later(hours=2)
    await world.worker.sweep()
    taken = {upload.scope for upload in await world.uploads.of_case("demo", answer.case.case_id)}
    assert {path.split("/")[2] for path in world.stored()} == taken


@pytest.mark.requirement("DX-ING-11")
async def test_what_the_bus_did_not_confirm_is_published_after_a_restart(
    world: Any, bundle: Maker
) -> None:
    world.bus.away = True
    answer = await world.submit(bundle())
    assert not answer.duplicate and not world.bus.published(subjects.CASE_RECEIVED)
    world.restart()
    await world.relay.send_all()
    world.bus.away = False
    await world.relay.send_all()
    await world.relay.send_all()
    (event,) = world.bus.published(subjects.CASE_RECEIVED)
    assert event.case == answer.case and not await world.cases.outgoing()


class Killed(Exception):
    """Stands for SIGKILL: nothing handles it."""


def break_at(world: Any, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process die before a step, or right after the transaction."""

    async def dies(*_: object, **__: object) -> None:
        raise Killed

    put, accept = world.blobs.put, world.cases.accept

    async def dies_at_put(tenant: str, scope: str, name: str, content: bytes) -> Any:
        if name == step.split()[1]:
            raise Killed
        return await put(tenant, scope, name, content)

    async def dies_after(draft: cases.Draft) -> None:
        await accept(draft)
        raise Killed

    if step == "open_submission":
        monkeypatch.setattr(world.uploads, "open_submission", dies)
    elif step.startswith("put"):
        monkeypatch.setattr(world.blobs, "put", dies_at_put)
    elif step == "accept":
        monkeypatch.setattr(world.cases, "accept", dies)
    elif step == "committed":
        monkeypatch.setattr(world.cases, "accept", dies_after)
    else:
        monkeypatch.setattr(world.relay, "send", dies)


@pytest.mark.requirement("DX-HL7-09")
async def test_two_messages_at_once_do_not_miss_each_other(world: Any) -> None:
    laboratory = Laboratory(world)
    await asyncio.gather(*(laboratory.send(obx(f"{n}.5")) for n in range(6)))
    events = world.bus.published(subjects.CASE_RECEIVED)
    pairs = {frozenset(pair[:2]) for event in events for pair in told(event)}
    assert len(events) == 6 and len(pairs) == 15  # each with each other
