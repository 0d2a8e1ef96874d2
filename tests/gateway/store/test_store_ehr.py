"""Launches by an EHR and what is written back to it, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.gateway.store import Store
from services.gateway.store.ehr_writes import DONE, WAITING
from services.kernel.errors import NotFound

CONTENT = {"patient": "p-1", "encounter": "", "user": "Practitioner/1", "sent": []}


async def linked(store: Store, case_id: str = "c-1", patient: str = "hash-1") -> None:
    await store.ehr_writes.link("north", case_id, "ehr", patient, CONTENT)


async def sign(store: Store, case_id: str = "c-1", signed_us: int = 10) -> None:
    async with store.cases.change("north", case_id) as opened:
        await store.ehr_writes.signed(opened.connection, "north", case_id, signed_us)


@pytest.mark.requirement("DX-EHR-04")
async def test_one_of_many_takes_a_state(store: Store) -> None:
    state = await store.ehr.add_state("north", "ehr", {"nonce": "n"})
    taken = await asyncio.gather(*(store.ehr.take_state("ehr", state) for _ in range(6)))
    assert [found for found in taken if found] == [{"nonce": "n"}]


@pytest.mark.requirement("DX-EHR-02")
async def test_a_session_is_its_token_and_its_launch(store: Store) -> None:
    token, launch = await store.ehr.open("north", "ehr", "li.wei", CONTENT | {"tokens": {}})
    found = await store.ehr.session(launch.launch_id, token)
    assert found is not None and found.patient == "p-1" and found.reviewer == "li.wei"
    other, second = await store.ehr.open("north", "ehr", "li.wei", CONTENT | {"tokens": {}})
    assert await store.ehr.session(second.launch_id, token) is None
    assert await store.ehr.session(launch.launch_id, other) is None
    await store.ehr.end(launch.launch_id)
    assert await store.ehr.session(launch.launch_id, token) is None
    assert len(await store.ehr.of_patient("north", await _hash(store))) == 2, "for writing back"
    assert await store.ehr.of_patient("south", await _hash(store)) == []


async def _hash(store: Store) -> str:
    return await store.ehr.patient_hash("north", "ehr", "p-1")


@pytest.mark.requirement("DX-EHR-10")
async def test_one_at_a_time_refreshes(store: Store) -> None:
    _, launch = await store.ehr.open("north", "ehr", "li.wei", CONTENT | {"tokens": {"n": 1}})
    began = await asyncio.gather(*(store.ehr.begin_refresh(launch.launch_id, 60) for _ in range(6)))
    assert sum(began) == 1
    await store.ehr.end_refresh(launch, {"n": 2})
    found = await store.ehr.get(launch.launch_id)
    assert found is not None and found.content["tokens"] == {"n": 2}
    assert await store.ehr.begin_refresh(launch.launch_id, 60)


@pytest.mark.requirement("DX-EHR-05")
async def test_a_signature_marks_a_linked_case_in_its_own_commit(store: Store) -> None:
    await linked(store)
    with pytest.raises(ZeroDivisionError):
        async with store.cases.change("north", "c-1") as opened:
            await store.ehr_writes.signed(opened.connection, "north", "c-1", 10)
            raise ZeroDivisionError
    assert await store.ehr_writes.lease(60) is None, "not committed, not marked"
    await sign(store)
    await sign(store, "not-linked")
    write = await store.ehr_writes.lease(60)
    assert write is not None and (write.case_id, write.wanted_us) == ("c-1", 10)
    assert await store.ehr_writes.lease(60) is None
    await sign(store, signed_us=10)
    await store.ehr_writes.finish(write, state=DONE, written_us=write.wanted_us)
    assert await store.ehr_writes.lease(60) is None
    await sign(store, signed_us=10)
    assert await store.ehr_writes.lease(60) is None, "the same event again changes nothing"


@pytest.mark.requirement("DX-EHR-05")
async def test_a_signature_during_the_writing_stays_wanted(store: Store) -> None:
    await linked(store)
    await sign(store)
    write = await store.ehr_writes.lease(60)
    assert write is not None
    await sign(store, signed_us=20)
    await store.ehr_writes.finish(write, state=DONE, written_us=write.wanted_us)
    again = await store.ehr_writes.lease(60)
    assert again is not None and again.wanted_us == 20


@pytest.mark.requirement("DX-EHR-05")
async def test_who_lost_the_lease_changes_nothing(store: Store) -> None:
    await linked(store)
    await sign(store)
    slow = await store.ehr_writes.lease(-1)
    assert slow is not None
    fast = await store.ehr_writes.lease(60)
    assert fast is not None
    await store.ehr_writes.finish(replace(slow), state=DONE, written_us=10)
    held = await store.ehr_writes.get("north", "c-1")
    assert held is not None and held.state == WAITING and held.lease_us == fast.lease_us


@pytest.mark.requirement("DX-EHR-05")
async def test_many_writers_share_what_is_due(store: Store) -> None:
    for number in range(4):
        await linked(store, f"c-{number}")
        await sign(store, f"c-{number}")
    found = []
    for _ in range(4):
        found += await asyncio.gather(*(store.ehr_writes.lease(60) for _ in range(4)))
    names = [write.case_id for write in found if write]
    assert sorted(names) == ["c-0", "c-1", "c-2", "c-3"]


@pytest.mark.requirement("DX-EHR-11")
async def test_asking_again_and_counting(store: Store) -> None:
    await linked(store)
    with pytest.raises(NotFound):
        await store.ehr_writes.ask("north", "c-1")
    with pytest.raises(NotFound):
        await store.ehr_writes.ask("south", "c-1", 5)
    await store.ehr_writes.ask("north", "c-1", 5)
    assert await store.ehr_writes.counts("north") == {"waiting": 1, "failed": 0}
    assert await store.ehr_writes.counts("south") == {"waiting": 0, "failed": 0}
    await store.ehr_writes.add_signer("north", "c-1", "practitioner", "Practitioner/9")
    held = await store.ehr_writes.get("north", "c-1")
    assert held is not None and held.content["signers"] == {"practitioner": "Practitioner/9"}


@pytest.mark.requirement("DX-EHR-06")
async def test_a_patients_cases(store: Store) -> None:
    for number in range(3):
        async with store.cases.change("north", f"c-{number}") as opened:
            key = "subject-1" if number == 2 else ""
            opened.case = replace(opened.case, received_us=number, subject_key=key)
    await linked(store, "c-0")
    await linked(store, "c-1", "hash-2")
    cases = store.ehr_writes.cases_of
    assert await cases("north", "hash-1", "") == ["c-0"]
    assert await cases("north", "hash-1", "subject-1") == ["c-2", "c-0"]
    assert await cases("south", "hash-1", "subject-1") == []
