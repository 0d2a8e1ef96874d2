"""Resources in the store: exact content, versions, deletions, history, numbers, isolation."""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.fhir.outcome import Gone
from services.gateway.store import Store
from services.gateway.store.incoming import Incoming
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound
from tests.gateway.store.saving import basic, save

EXAMPLES = Path(__file__).parents[4] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"


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
