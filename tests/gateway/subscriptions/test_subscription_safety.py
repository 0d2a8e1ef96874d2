"""What a Subscription may reach, whom it may tell what, and where its secrets are."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import Permission, Rights
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


@pytest.mark.requirement("DX-SUB-09")
async def test_events_of_another_tenant_are_told_to_nobody_here(post: Any, asked: Any) -> None:
    await post.subscribe(asked.rest_hook(post.receiver.url), name="other")
    name = await post.subscribe(asked.topic(post.receiver.url), name="other")
    await post.deliver()
    told = len(post.receiver.got)
    await post.put(asked.observation())
    await post.put(asked.task())
    await post.deliver()
    assert len(post.receiver.got) == told
    for path in ("", "/$status", "/$events", "/_history"):
        answer = await post.send("GET", f"/fhir/Subscription/{name}{path}")
        assert answer.status_code == 404, path
    answer = await post.send("GET", "/fhir/Subscription/$status")
    assert answer.json()["total"] == 0


async def narrow(post: Any, name: str, rights: Rights) -> None:
    """Make a Subscription that of an app with these rights."""
    standing = await post.standing(name)
    owner = replace(standing.registration.owner, scopes=rights)
    registration = replace(standing.registration, owner=owner)
    async with post.gateway.store.resources.writing("north") as writing:
        await post.gateway.store.subscriptions.register(
            writing.connection, "north", name, registration, "active"
        )


OF_P1 = Rights((Permission("Observation", frozenset("rs"), patient="p-1"),))


@pytest.mark.requirement("DX-SUB-09")
async def test_only_what_its_owner_may_see_is_an_event(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await narrow(post, name, OF_P1)
    await post.put(asked.observation("o-1", patient="p-1"))
    await post.put(asked.observation("o-2", patient="p-2"))
    labelled = asked.observation("o-3", patient="p-1")
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await post.put(labelled | {"meta": {"security": [label]}})
    await post.deliver()
    assert (await post.standing(name)).numbered == 1
    assert post.receiver.events == [1]


@pytest.mark.requirement("DX-SUB-09")
@pytest.mark.parametrize("form", ["rest_hook", "topic"])
async def test_what_left_its_owners_sight_before_delivery_is_not_told(
    post: Any, asked: Any, form: str
) -> None:
    if form == "topic":
        wanted = asked.topic(post.receiver.url, content="full-resource")
        name, first, second = await post.subscribe(wanted), asked.task(), asked.task(patient="p-2")
        second["status"] = "completed"
        criteria = (("status", "requested"),)
        rights = Rights((Permission("Task", frozenset("rs"), criteria=criteria),))
    else:
        wanted = asked.rest_hook(post.receiver.url, payload="application/fhir+json")
        name = await post.subscribe(wanted)
        first, second = asked.observation(), asked.observation(patient="p-2")
        rights = OF_P1
    await post.deliver()
    await narrow(post, name, rights)
    told = len(post.receiver.got)
    await post.put(first)
    await post.put(second)  # now another patient's
    await post.deliver()
    later = post.receiver.got[told:]
    assert not any(b"p-1" in r.content or b"t-1" in r.content or b"o-1" in r.content for r in later)
    if form == "rest_hook":
        assert later == []
    else:
        assert [r.numbers for r in later if r.kind == "event-notification"] == [[1]]
    assert (await post.standing(name)).waiting == 0


@pytest.mark.requirement("DX-SUB-09")
async def test_app_subscribes_to_what_its_scopes_let_it_read(post: Any, asked: Any) -> None:
    letters = frozenset("cruds")
    scopes = Rights((Permission("Subscription", letters), Permission("Task", frozenset("rs"))))
    app = Principal("north", "app-1", Role.EHR, scopes=scopes, client_id="app-1")
    post.gateway.accounts.by_token[hashlib.sha256(b"app").hexdigest()] = app
    bearer = {"Authorization": "Bearer app"}
    for wanted, status in (
        (asked.rest_hook(post.receiver.url), 403),
        (asked.topic(post.receiver.url, "critical-result"), 403),
        (asked.topic(post.receiver.url), 201),
    ):
        answer = await post.send("POST", "/fhir/Subscription", wanted, **bearer)
        assert answer.status_code == status, answer.text
    standing = await post.standing(answer.json()["id"])
    assert standing.registration.owner == Owner("app-1", "ehr", "app-1", scopes)


@pytest.mark.requirement("DX-SUB-09")
async def test_account_that_is_gone_is_told_nothing(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    await post.put(asked.observation())
    known = post.gateway.accounts.by_token
    kept = dict(known)
    for token, principal in kept.items():
        if principal.name == "ehr-client":
            del known[token]
    await post.deliver()
    known.update(kept)
    assert post.receiver.got == []
    assert (await post.read(name))["error"].startswith("OWNER_GONE")
    post.clock.pass_s(600)
    await post.deliver()
    assert post.receiver.events == [1]


@pytest.mark.requirement("DX-SUB-09")
async def test_app_whose_client_was_revoked_is_told_nothing(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    standing = await post.standing(name)
    owner = Owner("ehr-client", "ehr", client_id="no-such-client")
    async with post.gateway.store.resources.writing("north") as writing:
        await post.gateway.store.subscriptions.register(
            writing.connection,
            "north",
            name,
            replace(standing.registration, owner=owner),
            "active",
        )
    await post.put(asked.observation())
    await post.deliver()
    assert post.receiver.got == []


@pytest.mark.requirement("DX-SUB-09")
async def test_what_left_the_house_is_in_the_audit_trail(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.deliver()
    await post.put(asked.observation())
    await post.deliver()
    answer = await post.send("GET", "/fhir/AuditEvent?subtype=notify", name="auditor")
    (event,) = [entry["resource"] for entry in answer.json()["entry"]]
    found = {e["what"]["reference"] for e in event["entity"] if "reference" in e.get("what", {})}
    assert found == {f"Subscription/{name}", "Observation/o-1/_history/1", "Patient/p-1"}


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


@pytest.mark.requirement("DX-SUB-09")
async def test_missed_events_are_shown_as_far_as_the_asking_token_allows(
    post: Any, asked: Any
) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url, content="full-resource"))
    await post.put(asked.task())
    token = "narrow"
    digest = hashlib.sha256(token.encode()).hexdigest()
    scopes = Rights((Permission("Subscription", frozenset("rs")),))
    known = post.gateway.accounts.by_token
    known[digest] = Principal("north", "ehr-client", Role.EHR, scopes=scopes)
    path = f"/fhir/Subscription/{name}/$events?content=full-resource"
    assert '"resourceType":"Task"' in (await post.send("GET", path)).text
    answer = await post.send("GET", path, Authorization=f"Bearer {token}")
    assert answer.status_code == 200
    assert '"Task"' not in answer.text and "Task/" not in answer.text
