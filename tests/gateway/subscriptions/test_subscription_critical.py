"""An endpoint that subscribed hears of a critical result, of who read it, and of nothing twice."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.requirement("DX-CRI-12")
async def test_a_rest_hook_hears_of_a_critical_result_and_of_its_reader(
    post: Any, asked: Any, setting: Any, telling: Any
) -> None:
    await post.subscribe(
        asked.topic(post.receiver.url, "critical-notice", content="full-resource", count=1)
    )
    await post.subscribe(asked.rest_hook(post.receiver.url, "Communication?category=alert"))
    await post.deliver()
    post.receiver.got.clear()
    made = await telling.event(post.world, setting)
    for _ in range(2):
        await post.gateway.notifier.found(made)
    await post.deliver()
    told, plain = sorted(post.receiver.got, key=lambda each: not each.content)
    assert (told.kind, told.numbers, plain.content) == ("event-notification", [1], b"")
    resource = told.json["entry"][1]["resource"]
    assert resource["status"] == "in-progress" and "6.8" in str(resource["payload"])
    reader = {"name": "reader", "valueReference": {"reference": "Practitioner/d"}}
    body = {"resourceType": "Parameters", "parameter": [reader]}
    await post.send("POST", f"/fhir/Communication/{resource['id']}/$acknowledge", body)
    await post.deliver()
    states = [
        each.json["entry"][1]["resource"]["status"] for each in post.receiver.got if each.content
    ]
    assert states == ["in-progress", "completed"]
