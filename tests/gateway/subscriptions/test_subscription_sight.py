"""Only what its owner may see is told by a Subscription."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import Permission, Rights
from services.gateway.subscriptions.registration import Owner


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
