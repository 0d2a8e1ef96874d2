"""Resources in the store: exact content, versions, deletions, history, numbers, isolation."""

from __future__ import annotations

import asyncio
import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from services.gateway.fhir.outcome import Gone
from services.gateway.store import Store, sql
from services.gateway.store.audit import AuditEntry
from services.gateway.store.incoming import Incoming
from services.gateway.store.resource_tables import RESOURCES, TENANTS
from services.gateway.store.writing import Writing
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound

EXAMPLES = Path(__file__).parents[4] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"


def basic(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "id": f"b-{number}", "code": {"text": "x"}, **more}


async def save(store: Store, resource: Any, tenant: str = "north", **how: Any) -> Any:
    async with store.resources.writing(tenant) as writing:
        return await writing.save(resource, **how)


@pytest.mark.requirement("DX-STO-01")
async def test_versions_are_kept_and_the_same_content_makes_none(store: Store) -> None:
    first, created = await save(store, basic(language="en"), method="POST")
    again, created_again = await save(store, basic(language="en", meta={"versionId": "9"}))
    second, created_second = await save(store, basic(language="de"), case_id="c-1")
    assert (created, created_again, created_second) == (True, False, False)
    assert again == first
    assert (first.version, second.version) == (1, 2)
    assert (first.key, second.key, first.seq, second.seq) == (1, 1, 1, 2)
    assert second.updated_us > first.updated_us
    read = store.resources
    assert await read.read("north", "Basic", "b-0") == second
    assert await read.read_version("north", "Basic", "b-0", 1) == first
    meta = fhir.parse(second.content)["meta"]
    assert meta["versionId"] == "2"
    with pytest.raises(NotFound):
        await read.read_version("north", "Basic", "b-0", 3)
    with pytest.raises(NotFound):
        await read.read("north", "Basic", "b-1")


@pytest.mark.requirement("DX-STO-02")
async def test_bytes_stay_as_they_came(store: Store) -> None:
    came = b'\xef\xbb\xbf{"resourceType":"Basic" ,\n"valueDecimal" : 1.50e1, "t":"a\\u0041 "}\n'
    stored, _ = await save(store, came, resource_id="b-9", method="POST")
    read = (await store.resources.read("north", "Basic", "b-9")).content
    assert read == stored.content
    start, _, rest = read.partition(b' ,\n"valueDecimal"')
    assert rest == b' : 1.50e1, "t":"a\\u0041 "}\n'
    assert fhir.parse(start + b"}")["id"] == "b-9"


@pytest.mark.requirement("DX-STO-01")
async def test_without_an_id_a_resource_gets_one_and_without_a_type_none(store: Store) -> None:
    stored, created = await save(store, {"resourceType": "Basic"}, method="POST")
    assert created
    assert fhir.parse(stored.content)["id"] == stored.id
    with pytest.raises(InvalidInput):
        await save(store, {"id": "x"})


@pytest.mark.requirement("DX-STO-03")
async def test_deletion_is_a_version_and_the_id_may_be_used_again(store: Store) -> None:
    await save(store, basic())
    async with store.resources.writing("north") as writing:
        gone = await writing.remove("Basic", "b-0")
        assert gone and gone.deleted and gone.version == 2
        assert await writing.remove("Basic", "b-0") is None
        assert await writing.remove("Basic", "never") is None
        assert await writing.current("Basic", "b-0") == gone
    with pytest.raises(Gone):
        await store.resources.read("north", "Basic", "b-0")
    with pytest.raises(Gone):
        await store.resources.read_version("north", "Basic", "b-0", 2)
    assert (await store.resources.read_version("north", "Basic", "b-0", 1)).version == 1
    assert await store.resources.find("north", "Basic", "b-0") == gone
    back, created = await save(store, basic())
    assert (created, back.version, back.key, back.seq) == (True, 3, 1, 3)
    found = await store.resources.history("north", kind="Basic", resource_id="b-0", count=10)
    assert [(s.version, s.method) for s in found] == [(3, "PUT"), (2, "DELETE"), (1, "PUT")]


@pytest.mark.requirement("DX-STO-03")
async def test_history_pages_by_number_in_both_directions(store: Store) -> None:
    for number in range(3):
        await save(store, basic(number))
        await save(store, {"resourceType": "Flag", "id": f"f-{number}"})
    history = store.resources.history
    assert [s.seq for s in await history("north", count=4)] == [6, 5, 4, 3]
    assert [s.seq for s in await history("north", before_seq=3, count=4)] == [2, 1]
    assert [s.seq for s in await history("north", after_seq=4, count=4)] == [5, 6]
    assert [s.seq for s in await history("north", kind="Flag", count=4)] == [6, 4, 2]
    times = {s.seq: s.updated_us for s in await history("north", count=9)}
    since = await history("north", since_us=times[3], until_us=times[5], count=9)
    assert [s.seq for s in since] == [5, 4, 3]


@pytest.mark.requirement("DX-STO-04")
async def test_order_has_no_gap_under_concurrency_and_after_failures(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(basic(number))
            await writing.save(basic(number, language="en"))
            if number % 5 == 4:
                raise LookupError

    tasks = [write(number) for number in range(25)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(error, LookupError) for error in done) == 5
    found = await store.resources.history("north", after_seq=0, count=100)
    assert sorted(s.seq for s in found) == list(range(1, 41))
    by_seq = sorted(found, key=lambda s: s.seq)
    assert [s.updated_us for s in by_seq] == sorted(s.updated_us for s in by_seq)
    for first, second in zip(by_seq[::2], by_seq[1::2], strict=True):
        assert (first.id, first.version, second.version) == (second.id, 1, 2)


@pytest.mark.requirement("DX-STO-04")
async def test_what_is_seen_in_order_is_never_overtaken(store: Store) -> None:
    """A reader that remembers the last number it saw misses nothing that is committed later."""
    seen: list[int] = []
    stop = asyncio.Event()

    async def follow() -> None:
        while not (stop.is_set() and len(seen) >= 40):
            last = seen[-1] if seen else 0
            query = (
                select(RESOURCES.c.seq)
                .where(RESOURCES.c.tenant == "north", RESOURCES.c.seq > last)
                .order_by(RESOURCES.c.seq)
            )
            async with store.database.read() as connection:
                seen.extend((await connection.execute(query)).scalars())
            await asyncio.sleep(0)

    async def write(number: int) -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(basic(number))
            await asyncio.sleep(0.002 * (number % 3))
            await writing.save({"resourceType": "Flag", "id": f"f-{number}"})

    reader = asyncio.create_task(follow())
    await asyncio.gather(*(write(number) for number in range(20)))
    stop.set()
    await asyncio.wait_for(reader, 20)
    assert seen == list(range(1, 41))


@pytest.mark.requirement("DX-STO-04")
async def test_two_that_create_on_condition_at_once_make_one(store: Store) -> None:
    async def create_unless_there() -> bool:
        async with store.resources.writing("north") as writing:
            if await writing.current("Basic", "b-0"):
                return False
            await asyncio.sleep(0.01)
            await writing.save(basic(), method="POST")
            return True

    made = await asyncio.gather(*(create_unless_there() for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]
    assert len(await store.resources.history("north", count=10)) == 1


@pytest.mark.requirement("DX-STO-04")
async def test_tenants_write_at_the_same_time(store: Store) -> None:
    if store.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer for all tenants")
    async with store.resources.writing("north") as writing:
        await writing.save(basic())
        await asyncio.wait_for(save(store, basic(), "south"), 5)


@pytest.mark.requirement("DX-STO-06")
async def test_no_tenant_sees_another(store: Store) -> None:
    await save(store, basic(language="en"))
    resources = store.resources
    with pytest.raises(NotFound):
        await resources.read("south", "Basic", "b-0")
    with pytest.raises(NotFound):
        await resources.read_version("south", "Basic", "b-0", 1)
    assert await resources.find_many("south", [("Basic", "b-0")]) == []
    assert await resources.history("south", count=10) == []
    async with resources.writing("south") as writing:
        assert await writing.current("Basic", "b-0") is None
        assert await writing.remove("Basic", "b-0") is None
        mine, created = await writing.save(basic(language="de"))
    assert (created, mine.seq) == (True, 1)
    assert fhir.parse((await resources.read("north", "Basic", "b-0")).content)["language"] == "en"


@pytest.mark.requirement("DX-STO-06")
async def test_content_moved_to_another_place_does_not_decrypt(store: Store) -> None:
    await save(store, basic(0))
    await save(store, basic(1))
    async with store.database.begin() as connection:
        await connection.execute(
            text(
                "UPDATE gateway_resources SET sealed = (SELECT sealed FROM "
                "gateway_resources WHERE id = 'b-0') WHERE id = 'b-1'"
            )
        )
    with pytest.raises(Exception, match="does not decrypt"):
        await store.resources.read("north", "Basic", "b-1")


class Watcher:
    """Notes what it is told; refuses when asked to."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.refuses = False

    async def written(self, writing: Writing) -> None:
        self.seen.append([stored.seq for stored in writing.changes])
        if self.refuses:
            raise LookupError


@pytest.mark.requirement("DX-STO-07")
async def test_observers_and_journal_are_committed_with_the_change_or_not_at_all(
    store: Store,
) -> None:
    watcher = Watcher()
    store.resources.observers.append(watcher)
    entry = AuditEntry(tenant="north", interaction="create", agent="a", role="ehr")
    async with store.resources.writing("north") as writing:
        await writing.save_many([Incoming(resource=basic(n)) for n in range(2)])
        writing.audit(entry)
    watcher.refuses = True
    with pytest.raises(LookupError):
        async with store.resources.writing("north") as writing:
            await writing.save(basic(5))
            writing.audit(entry)
    assert watcher.seen == [[1, 2], [3]]
    assert len(await store.audit.rows("north")) == 1
    assert [s.seq for s in await store.resources.history("north", count=9)] == [2, 1]
    async with store.database.read() as connection:
        assert (await connection.execute(select(TENANTS.c.seq))).scalars().all() == [2]


@pytest.mark.requirement("DX-STO-01")
async def test_many_at_once_are_as_one_after_the_other(store: Store) -> None:
    items = [Incoming(resource=basic(n % 400, language=f"l{n}")) for n in range(1200)]
    items += [items[-1]]
    async with store.resources.writing("north") as writing:
        saved = await writing.save_many(items)
    assert [stored.seq for stored, _ in saved] == [*range(1, 1201), 1200]
    assert [created for _, created in saved] == [True] * 400 + [False] * 801
    assert {stored.version for stored, _ in saved[800:]} == {3}
    keys = [("Basic", f"b-{n}") for n in range(400)]
    found = await store.resources.find_many("north", [*keys, ("Basic", "none")])
    assert [s.key for s in found] == list(range(1, 401))


def _plain(content: bytes) -> Any:
    value = json.loads(content, parse_float=str, parse_int=str)
    meta = value.pop("meta", {})
    value["meta"] = {k: v for k, v in meta.items() if k not in ("versionId", "lastUpdated")}
    return value


def _examples() -> Iterator[bytes]:
    with lzma.open(EXAMPLES) as stream, tarfile.open(fileobj=stream) as archive:
        for member in archive:
            if member.name.endswith(".json") and (file := archive.extractfile(member)):
                yield file.read()


@pytest.mark.requirement("DX-STO-02")
async def test_official_examples_come_back_to_the_last_digit(store: Store) -> None:
    if not EXAMPLES.is_file():
        pytest.skip("the official R4 examples (../shared/data/fhir) are not here")
    contents = list(_examples())
    assert len(contents) >= 699
    items = [
        Incoming(resource=fhir.parse(content), content=content, id=f"e-{number}", method="POST")
        for number, content in enumerate(contents)
    ]
    async with store.resources.writing("north") as writing:
        saved = await writing.save_many(items)
    keys = [(stored.type, stored.id) for stored, _ in saved]
    for content, stored in zip(
        contents, await store.resources.find_many("north", keys), strict=True
    ):
        assert _plain(stored.content) == _plain(content) | {"id": stored.id}


@pytest.mark.requirement("DX-STO-10")
async def test_reads_at_once_get_their_own_answers_also_one_after_the_other(store: Store) -> None:
    async with store.resources.writing("north") as writing:
        await writing.save_many([Incoming(resource=basic(n)) for n in range(100)])
    await save(store, basic(3, language="en"), "south")

    async def read(turn: int) -> None:
        for step in range(6):
            number = (turn * 7 + step) % 120
            found = await store.resources.find("north", "Basic", f"b-{number}")
            assert (found.id if found else "") == (f"b-{number}" if number < 100 else "")
            if found:
                assert "language" not in fhir.parse(found.content)

    await asyncio.wait_for(asyncio.gather(*(read(turn) for turn in range(150))), 60)
    theirs = await store.resources.find("south", "Basic", "b-3")
    assert theirs and fhir.parse(theirs.content)["language"] == "en"


@pytest.mark.requirement("DX-STO-10")
async def test_read_that_cannot_be_asked_for_or_is_given_up_spoils_no_other(store: Store) -> None:
    await save(store, basic())
    find = store.resources.find
    odd = ["\0", "\ud800", "b-0' OR '1'='1", '"]]', "x" * 10_000]
    given_up = asyncio.create_task(find("north", "Basic", "b-0"))
    tasks = [asyncio.create_task(find("north", "Basic", name)) for name in [*odd, "b-0"]]
    await asyncio.sleep(0)
    given_up.cancel()
    *none, found = await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert none == [None] * len(odd)
    assert found and found.id == "b-0"


@pytest.mark.requirement("DX-STO-10")
async def test_reads_fail_together_while_the_database_is_away_and_then_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save(store, basic())
    with monkeypatch.context() as patch:
        patch.setattr(sql.CURRENT_VERSIONS, "sqlite", "SELECT * FROM nothing")
        patch.setattr(sql.CURRENT_VERSIONS, "postgresql", "SELECT * FROM nothing")
        reads = [store.resources.find("north", "Basic", "b-0") for _ in range(5)]
        errors = await asyncio.wait_for(asyncio.gather(*reads, return_exceptions=True), 20)
        assert all(isinstance(error, Exception) for error in errors)
    assert await store.resources.find("north", "Basic", "b-0")
