"""An endpoint that is away, slow or refuses: attempts further apart, nothing lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

DAY_S = 86_400


@pytest.mark.requirement("DX-SUB-04")
async def test_endpoint_that_is_away_for_days_misses_nothing(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    await post.receiver.stop()
    tries = 0
    for day in range(10):
        await post.put(asked.observation(value=float(day)))
        for _ in range(6):
            before = (await post.standing(name)).failures
            await post.deliver()
            tries += (await post.standing(name)).failures - before
            post.clock.pass_s(DAY_S / 6)
    shown = await post.read(name)
    assert shown["status"] == "error"
    assert shown["error"].startswith("UNAVAILABLE")
    assert tries == 60  # it is tried again and again
    await post.receiver.start()
    post.clock.pass_s(600)
    await post.deliver()
    assert post.receiver.events == list(range(1, 11))
    shown = await post.read(name)
    assert shown["status"] == "active"
    assert "error" not in shown


@pytest.mark.requirement("DX-SUB-04")
async def test_attempts_are_further_and_further_apart(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    post.receiver.answer = lambda _: "503 Service Unavailable"
    await post.put(asked.observation())
    waits = []
    for _ in range(12):
        await post.deliver()
        await post.deliver()  # not yet: nothing is sent
        standing = await post.standing(name)
        waits.append((standing.next_us - post.clock.us) / 1e6)
        post.clock.us = standing.next_us
    assert len(post.receiver.got) == 12
    assert all(1 <= first <= 2 for first in waits[:1])
    assert all(late <= 600 for late in waits)
    assert waits[-1] >= 300
    assert waits[6] > 8 * waits[1]


@pytest.mark.requirement("DX-SUB-04")
async def test_endpoint_says_how_long_to_wait(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    post.receiver.answer = lambda _: "429 Too Many Requests\r\nRetry-After: 120"
    await post.put(asked.observation())
    await post.deliver()
    assert (await post.standing(name)).next_us - post.clock.us == 120_000_000


@pytest.mark.requirement("DX-SUB-04")
async def test_after_the_last_day_an_update_by_its_owner_brings_every_event(
    post: Any, asked: Any
) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    post.receiver.answer = lambda _: "500 Oh"
    await post.put(asked.observation())
    for _ in range(20):
        await post.deliver()
        post.clock.pass_s(DAY_S)
    sent = len(post.receiver.got)
    await post.put(asked.observation(value=1.0))
    post.clock.pass_s(5 * DAY_S)
    await post.deliver()
    assert len(post.receiver.got) == sent  # given up, but not forgotten
    assert "send the Subscription again" in (await post.read(name))["error"]
    answer = await post.send("GET", "/ops/status", name="operator")
    (shown,) = answer.json()["subscriptions"]
    assert (shown["id"], shown["status"], shown["waiting"]) == (name, "error", 2)
    assert shown["host"] == "127.0.0.1"
    assert "hook" not in answer.text
    post.receiver.answer = lambda _: "200 OK"
    await post.put({**asked.rest_hook(post.receiver.url), "id": name})
    await post.deliver()
    assert post.receiver.events[-2:] == [1, 2]


@pytest.mark.requirement("DX-SUB-06")
async def test_slow_or_dead_endpoint_does_not_hold_up_the_others(
    post: Any, asked: Any, receivers: Any
) -> None:
    async with receivers.open_receiver() as slow:
        slow.delay_s = 120
        await post.subscribe(asked.rest_hook(slow.url))
        await post.subscribe(asked.rest_hook(post.receiver.url))
        await post.deliver()
        await post.put(asked.observation())
        await post.delivery.sweep()
        async with asyncio.timeout(60):
            await post.receiver.first.wait()
        assert slow.got == []
        await post.delivery.stop()


@pytest.mark.requirement("DX-SUB-06")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("410 Gone", "ENDPOINT_GONE"),
        ("403 Forbidden", "HTTP_403"),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "REDIRECTED"),
        ("307 Temporary Redirect\r\nLocation: /other", "REDIRECTED"),
    ],
)
async def test_lasting_failure_is_said_at_once_and_the_event_kept(
    post: Any, asked: Any, answer: str, reason: str
) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    post.receiver.answer = lambda _: answer
    await post.put(asked.observation())
    await post.deliver()
    shown = await post.read(name)
    assert (shown["status"], shown["error"].partition(":")[0]) == ("error", reason)
    assert [told.path for told in post.receiver.got] == ["/hook"]  # no redirect is followed
    post.receiver.answer = lambda _: "204 No Content"
    post.clock.pass_s(600)
    await post.deliver()
    assert post.receiver.events == [1, 1]
    assert (await post.read(name))["status"] == "active"


@pytest.mark.requirement("DX-SUB-06")
async def test_owner_that_writes_meanwhile_is_not_overtaken(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    post.receiver.delay_s = 0.3
    await post.delivery.sweep()
    await asyncio.sleep(0.1)  # the handshake is on its way
    changed = {**asked.topic(post.receiver.url + "/new"), "id": name}
    await post.put(changed)
    await post.delivery.settle()
    assert [told.path for told in post.receiver.got] == ["/hook", "/hook/new"]
    assert [told.kind for told in post.receiver.got] == ["handshake", "handshake"]
