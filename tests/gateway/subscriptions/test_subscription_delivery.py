"""What happens is told: once it is written it is not lost, whatever becomes of the endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.subscriptions import delivery


@pytest.mark.requirement("DX-SUB-02")
async def test_rest_hook_without_payload_gets_an_empty_post_for_each_match(
    post: Any, asked: Any
) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    assert (await post.read(name))["status"] == "requested"
    await post.deliver()
    assert (await post.read(name))["status"] == "active"
    await post.put(asked.observation())
    await post.put(asked.task())
    await post.deliver()
    (told,) = post.receiver.got
    assert (told.method, told.path, told.content) == ("POST", "/hook", b"")
    assert told.numbers == [1]


@pytest.mark.requirement("DX-SUB-02")
async def test_rest_hook_with_payload_is_put_each_version_as_it_is_stored(
    post: Any, asked: Any
) -> None:
    await post.subscribe(
        asked.rest_hook(post.receiver.url + "?k=1", payload="application/fhir+json")
    )
    for value in (7.5, 6.5):
        await post.put(asked.observation(value=value))
    await post.deliver()
    assert [(r.method, r.path) for r in post.receiver.got] == [
        ("PUT", "/hook/Observation/o-1?k=1")
    ] * 2
    for version, told in enumerate(post.receiver.got, 1):
        path = f"/fhir/Observation/o-1/_history/{version}"
        assert told.content == (await post.send("GET", path)).content
        assert told.headers["content-type"] == "application/fhir+json"
    assert post.receiver.events == [1, 2]


@pytest.mark.requirement("DX-SUB-03")
async def test_topic_is_greeted_first_and_then_told_in_order(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url, count=3))
    await post.put(asked.task(status="requested"))
    await post.deliver()
    for status in ("accepted", "in-progress", "completed"):
        await post.put(asked.task(status=status))
    await post.put(asked.task(status="completed") | {"description": "no other status"})
    await post.deliver()
    kinds = [told.kind for told in post.receiver.got]
    assert kinds == ["handshake", "event-notification", "event-notification"]
    assert [told.numbers for told in post.receiver.got] == [[], [1], [2, 3, 4]]
    said = post.receiver.got[-1].status
    assert said["topic"]["valueCanonical"] == "urn:dxmesh:topic:case-status"
    assert said["status"]["valueCode"] == "active"
    assert said["events-since-subscription-start"]["valueString"] == "4"
    assert said["subscription"]["valueReference"]["reference"].endswith(f"/Subscription/{name}")


@pytest.mark.requirement("DX-SUB-03")
@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_topic_tells_as_much_as_was_asked_for(post: Any, asked: Any, content: str) -> None:
    await post.subscribe(asked.topic(post.receiver.url, content=content))
    await post.put(asked.task())
    await post.deliver()
    told = post.receiver.got[-1]
    parts = {part["name"]: part for part in told.status["notification-event"]["part"]}
    assert ("focus" in parts) == (content != "empty")
    resources = [entry["resource"] for entry in told.json["entry"][1:]]
    assert [r["resourceType"] for r in resources] == (
        ["Task"] if content == "full-resource" else []
    )


@pytest.mark.requirement("DX-SUB-03")
async def test_topic_is_filtered(post: Any, asked: Any) -> None:
    await post.subscribe(
        asked.topic(post.receiver.url, filters=("Task?patient=Patient/p-1", "status=completed"))
    )
    for patient in ("p-1", "p-2"):
        for status in ("requested", "completed"):
            await post.put(asked.task(f"t-{patient}", status, patient))
    await post.deliver()
    (told,) = [r for r in post.receiver.got if r.kind == "event-notification"]
    (part,) = [p for p in told.status["notification-event"]["part"] if p["name"] == "focus"]
    assert part["valueReference"]["reference"].endswith("/Task/t-p-1")


@pytest.mark.requirement("DX-SUB-05")
async def test_delivery_that_is_killed_goes_on_with_the_same_event(post: Any, asked: Any) -> None:
    await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    for value in (1.0, 2.0, 3.0):
        await post.put(asked.observation(value=value))
    post.receiver.delay_s = 0.2
    await post.delivery.sweep()
    await asyncio.sleep(0.3)  # the second event is on its way
    await post.delivery.stop()
    post.receiver.delay_s = 0.0
    await asyncio.sleep(0.3)
    other = post.again()
    await other.sweep()
    await other.settle()
    assert sorted(set(post.receiver.events)) == [1, 2, 3]
    firsts = list(dict.fromkeys(post.receiver.events))
    assert firsts == [1, 2, 3]  # in order; what came twice came under its number


@pytest.mark.requirement("DX-SUB-05")
async def test_event_that_was_taken_but_not_noted_comes_again_under_its_number(
    post: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    await post.put(asked.observation())
    subscriptions = post.gateway.store.subscriptions

    async def crash(*_: Any, **__: Any) -> None:
        raise OSError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(type(subscriptions), "taken", crash)
        await post.deliver()
    post.clock.pass_s(600)
    await post.deliver()
    assert post.receiver.events == [1, 1]


@pytest.mark.requirement("DX-SUB-05")
async def test_one_replica_delivers_at_a_time(post: Any, asked: Any) -> None:
    await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    # Leases go by the store's clock; each process has a holder of its own.
    from services.gateway.store.leases import Leases

    assert await Leases(post.gateway.store.database).hold("subscriptions", 30)
    await post.put(asked.observation())
    running = asyncio.create_task(post.again().run())
    await post.receiver.changed()
    assert post.receiver.got == []
    running.cancel()


@pytest.mark.requirement("DX-SUB-05")
async def test_running_delivery_is_woken_by_a_write(
    post: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LOOK_S", 600.0)  # nothing else wakes it
    await post.subscribe(asked.rest_hook(post.receiver.url))
    running = asyncio.create_task(post.delivery.run())
    await asyncio.sleep(0.2)
    await post.put(asked.observation())
    async with asyncio.timeout(60):
        await post.receiver.first.wait()
    running.cancel()


@pytest.mark.requirement("DX-SUB-03")
async def test_silence_is_broken_by_a_heartbeat(post: Any, asked: Any) -> None:
    await post.subscribe(asked.topic(post.receiver.url, heartbeat_s=60))
    await post.deliver()
    post.clock.pass_s(59)
    await post.deliver()
    assert len(post.receiver.got) == 1
    post.clock.pass_s(2)
    await post.deliver()
    assert [told.kind for told in post.receiver.got] == ["handshake", "heartbeat"]


@pytest.mark.requirement("DX-SUB-06")
async def test_end_off_and_deletion_end_it(post: Any, asked: Any) -> None:
    ended = await post.subscribe(
        asked.rest_hook(post.receiver.url) | {"end": "2026-09-21T14:14:00Z"}
    )
    off = await post.subscribe(asked.rest_hook(post.receiver.url))
    gone = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    post.clock.pass_s(3600)
    await post.deliver()
    assert (await post.read(ended))["status"] == "off"
    await post.put({**asked.rest_hook(post.receiver.url), "id": off, "status": "off"})
    assert (await post.send("DELETE", f"/fhir/Subscription/{gone}")).status_code in (200, 204)
    await post.put(asked.observation())
    await post.deliver()
    assert post.receiver.got == []
    assert await post.standing(gone) is None
