"""What a Subscription may reach, whom it may tell what, and where its secrets are."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.subscriptions.registration import Owner

SECRET = "Bearer s3cr3t-0f-the-endpoint"

ADDRESSES = (
    ("https://127.0.0.1/hook", None),
    ("http://169.254.169.254/latest/meta-data", "ADDRESS_NOT_HTTPS"),
    ("https://169.254.169.254/latest", "ADDRESS_NOT_LISTED"),
    ("https://elsewhere.example.com/hook", "ADDRESS_NOT_LISTED"),
    ("https://inside.example.org/hook", "ADDRESS_PRIVATE"),
    ("https://metadata.example.org/hook", "ADDRESS_PRIVATE"),
    ("https://mapped.example.org/hook", "ADDRESS_PRIVATE"),
    ("http://open.example.org/hook", "ADDRESS_NOT_HTTPS"),
    ("https://user:pw@open.example.org/", "ADDRESS_BAD"),
    ("file:///etc/passwd", "ADDRESS_BAD"),
    ("https://open.example.org/hook", None),
)
"""Endpoints, and why they are refused; None: they are taken."""


@pytest.mark.requirement("DX-SUB-07")
async def test_endpoint_must_be_one_the_operator_allows(post: Any, asked: Any) -> None:
    post.resolved |= {
        "inside.example.org": ["10.0.0.5"],
        "metadata.example.org": ["93.184.216.34", "169.254.169.254"],
        "mapped.example.org": ["::ffff:127.0.0.1"],
        "open.example.org": ["93.184.216.34"],
    }
    found = []
    for url, _ in ADDRESSES:
        answer = await post.send("POST", "/fhir/Subscription", asked.rest_hook(url))
        if answer.status_code == 201:
            found.append((url, None))
            continue
        assert answer.status_code == 403
        found.append((url, answer.json()["issue"][0]["details"]["coding"][0]["code"]))
    assert found == list(ADDRESSES)


@pytest.mark.requirement("DX-SUB-07")
async def test_name_that_turns_to_an_address_inside_is_refused_when_it_is_delivered(
    post: Any, asked: Any
) -> None:
    post.resolved["hook.example.org"] = ["93.184.216.34"]
    url = f"https://hook.example.org:{post.receiver.port}/hook"
    name = await post.subscribe(asked.rest_hook(url))
    await post.deliver()
    post.resolved["hook.example.org"] = ["127.0.0.1"]
    await post.put(asked.observation())
    await post.deliver()
    assert post.receiver.got == []
    shown = await post.read(name)
    assert (shown["status"], shown["error"].partition(":")[0]) == ("error", "ADDRESS_PRIVATE")


@pytest.mark.requirement("DX-SUB-07")
async def test_another_tenant_may_not_use_what_one_tenant_is_allowed(post: Any, asked: Any) -> None:
    answer = await post.send(
        "POST", "/fhir/Subscription", asked.rest_hook("https://a.example.com/"), name="other"
    )
    assert answer.status_code == 403


@pytest.mark.requirement("DX-SUB-08")
async def test_header_is_sent_and_shown_nowhere(
    post: Any, asked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wanted = asked.rest_hook(post.receiver.url, header=[f"Authorization: {SECRET}"])
    made = await post.send("POST", "/fhir/Subscription", wanted)
    name = made.json()["id"]
    await post.deliver()
    await post.put(asked.observation())
    await post.deliver()
    assert post.receiver.got[0].headers["authorization"] == SECRET
    post.receiver.answer = lambda _: "500 Oh"
    await post.put(asked.observation(value=1))
    await post.deliver()
    seen = [made.text]
    for path in (
        f"/fhir/Subscription/{name}",
        "/fhir/Subscription",
        f"/fhir/Subscription/{name}/_history",
        "/fhir/_history",
        f"/fhir/Subscription/{name}/$status",
        "/fhir/Subscription/$status",
    ):
        answer = await post.send("GET", path)
        assert answer.status_code == 200, path
        seen.append(answer.text)
    seen.append((await post.send("GET", "/ops/status", name="operator")).text)
    seen.append((await post.send("GET", "/fhir/AuditEvent", name="auditor")).text)
    assert "Authorization: ***" in seen[1]
    assert not any("s3cr3t" in text for text in [*seen, caplog.text])
    folder = post.world.database.parent
    assert not any(b"s3cr3t" in p.read_bytes() for p in folder.glob("gateway.sqlite*"))


@pytest.mark.requirement("DX-SUB-08")
async def test_masked_header_keeps_its_value_for_the_same_endpoint_and_owner_alone(
    post: Any, asked: Any
) -> None:
    wanted = asked.rest_hook(post.receiver.url, header=[f"Authorization: {SECRET}"])
    name = await post.subscribe(wanted)
    shown = await post.read(name)
    await post.put(shown | {"reason": "changed"})
    await post.deliver()
    await post.put(asked.observation())
    await post.deliver()
    assert post.receiver.got[-1].headers["authorization"] == SECRET
    shown["channel"]["endpoint"] = post.receiver.url + "/mine"
    moved = await post.send("PUT", f"/fhir/Subscription/{name}", shown)
    assert moved.status_code == 422
    assert "masked" in moved.text
    patch = [{"op": "replace", "path": "/channel/endpoint", "value": post.receiver.url + "/mine"}]
    kind = {"Content-Type": "application/json-patch+json"}
    moved = await post.send("PATCH", f"/fhir/Subscription/{name}", patch, **kind)
    assert moved.status_code == 422


@pytest.mark.requirement("DX-SUB-08")
async def test_masked_header_of_somebody_else_is_not_sent_for_the_one_who_takes_over(
    post: Any, asked: Any
) -> None:
    name = await post.subscribe(
        asked.rest_hook(post.receiver.url, header=[f"Authorization: {SECRET}"])
    )
    standing = await post.standing(name)
    theirs = replace(standing.registration, owner=Owner("another-client", "ehr"))
    async with post.gateway.store.resources.writing("north") as writing:
        await post.gateway.store.subscriptions.register(
            writing.connection, "north", name, theirs, "active"
        )
    shown = await post.read(name)
    answer = await post.send("PUT", f"/fhir/Subscription/{name}", shown)
    assert answer.status_code == 422
    assert "masked" in answer.text


@pytest.mark.requirement("DX-SUB-08")
async def test_header_cannot_change_what_the_request_is(post: Any, asked: Any) -> None:
    lines = (
        "Host: inside",
        "Content-Length: 1",
        "Connection: x",
        "X: a\r\nHost: b",
        "no colon",
        "Ü: x",
    )
    for line in lines:
        wanted = asked.rest_hook(post.receiver.url, header=[line])
        answer = await post.send("POST", "/fhir/Subscription", wanted)
        assert answer.status_code == 422, line


NOT_SERVED: tuple[dict[str, Any], ...] = (
    {"channel": {"type": "email", "endpoint": "mailto:x@example.org"}},
    {"channel": {"type": "sms", "endpoint": "tel:1"}},
    {"channel": {"type": "websocket"}},
    {"channel": {"type": "message", "endpoint": "https://open.example.org/"}},
    {"channel": {"type": "rest-hook"}},
    {"criteria": "Nothing?code=1"},
    {"criteria": "Observation?no-such-parameter=1"},
    {"criteria": "Observation?subject.name=x"},
    {"criteria": "Patient?_has:Observation:subject:code=1"},
    {"criteria": "Observation?_sort=date"},
    {"criteria": "Observation?date=yesterday"},
    {"criteria": "AuditEvent?date=2026"},
    {"criteria": "Subscription?status=active"},
    {"criteria": "urn:dxmesh:topic:weather"},
    {"criteria": "not a search"},
    {"end": "2026-13-01T00:00:00Z"},
)


@pytest.mark.requirement("DX-SUB-01")
async def test_what_is_not_served_is_refused_with_its_place(post: Any, asked: Any) -> None:
    for change in NOT_SERVED:
        wanted = asked.rest_hook(post.receiver.url) | change
        answer = await post.send("POST", "/fhir/Subscription", wanted)
        assert answer.status_code in (400, 403, 422), change
        issue = answer.json()["issue"][0]
        assert issue.get("expression") or "scope" in answer.text, change
