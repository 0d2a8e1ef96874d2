"""Encrypted blobs and their keys, over a local folder as a mesh uses it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from services.kernel.blobs import Blobs, open_analysis
from services.kernel.crypto import SCOPE_CACHE_S, Vault
from services.kernel.errors import Damaged, InvalidInput, KeyDestroyed, NotFound, Unavailable
from services.kernel.pieces import CHUNK, PREFIX, TAG
from services.kernel.settings import MeshSettings
from services.kernel.testing import memory_blobs

HEAD = 4 + PREFIX
SIZES = st.sampled_from(
    [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]
) | st.integers(0, 3 * CHUNK)


def opened(folder: Path, key: bytes = b"k" * 32) -> Blobs:
    """Return blobs in a folder, as one more process would open them."""
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    (folder / "master.key").write_text(base64.b64encode(key).decode())
    return open_analysis(
        MeshSettings(
            nats_url="",
            blobs_analysis_url=(folder / "blobs").as_uri(),
            master_key_analysis_file=folder / "master.key",
        )
    )


def stored(folder: Path, name: str = "x", scope: str = "case-1", tenant: str = "demo") -> Path:
    return folder / "blobs" / "blobs" / tenant / scope / name


async def pieces(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for one in parts:
        yield one
    if error:
        raise error


@pytest.mark.requirement("DX-KEY-01")
@settings(max_examples=30, deadline=None)
@given(size=SIZES, cuts=st.lists(st.integers(0, 3 * CHUNK), max_size=6))
def test_content_of_any_size_in_any_pieces_comes_back(size: int, cuts: list[int]) -> None:
    content = os.urandom(size)
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    parts = [content[a:b] for a, b in itertools.pairwise(edges)]

    async def there_and_back() -> None:
        store = memory_blobs()
        whole = await store.put("demo", "case-1", "a/whole", content)
        streamed = await store.put_stream("demo", "case-1", "b/streamed", pieces(*parts))
        assert (
            (streamed.size, streamed.sha256) == (whole.size, whole.sha256) == (size, whole.sha256)
        )
        assert await store.get("demo", whole) == content
        assert await store.get("demo", streamed) == content

    asyncio.run(there_and_back())


@pytest.mark.requirement("DX-KEY-02")
@pytest.mark.parametrize(
    "damage", ["flip", "reorder", "drop last", "drop middle", "repeat", "cut", "append", "empty"]
)
async def test_changed_content_is_refused(tmp_path: Path, damage: str) -> None:
    store = opened(tmp_path)
    ref = await store.put("demo", "case-1", "x", os.urandom(3 * CHUNK))
    path = stored(tmp_path)
    sealed = path.read_bytes()
    head, step = sealed[:HEAD], CHUNK + TAG
    chunks = [sealed[at : at + step] for at in range(HEAD, len(sealed), step)]
    assert len(chunks) == 3
    changed = {
        "flip": head + b"".join([chunks[0][:-1] + bytes([chunks[0][-1] ^ 1]), *chunks[1:]]),
        "reorder": head + chunks[1] + chunks[0] + chunks[2],
        "drop last": head + chunks[0] + chunks[1],
        "drop middle": head + chunks[0] + chunks[2],
        "repeat": head + chunks[0] + chunks[0] + chunks[2],
        "cut": sealed[:-1],
        "append": sealed + b"\0",
        "empty": b"",
    }[damage]
    path.write_bytes(changed)
    ref.sha256 = ""  # the reference does not help: the content itself must show it
    with pytest.raises(Damaged):
        await store.get("demo", ref)


@pytest.mark.requirement("DX-KEY-02")
async def test_blob_moved_to_another_name_or_scope_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put("demo", "case-1", "x", b"one")
    other = await store.put("demo", "case-1", "y", b"two")
    shutil.copy(stored(tmp_path, "x"), stored(tmp_path, "y"))
    with pytest.raises(Damaged):
        await store.get("demo", BlobRef(scope="case-1", name="y"))
    with pytest.raises(Damaged):
        await store.get("demo", other)
    elsewhere = await store.put("demo", "case-2", "x", b"three")
    shutil.copy(stored(tmp_path, "x"), stored(tmp_path, "x", "case-2"))
    with pytest.raises(Damaged):
        await store.get("demo", elsewhere)


@pytest.mark.requirement("DX-KEY-02")
async def test_older_content_under_the_same_name_is_not_what_the_reference_names(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    await store.put("demo", "case-1", "x", b"old")
    old = stored(tmp_path).read_bytes()
    ref = await store.put("demo", "case-1", "x", b"new")
    stored(tmp_path).write_bytes(old)
    with pytest.raises(Damaged):
        await store.get("demo", ref)


@pytest.mark.requirement("DX-KEY-03")
async def test_destroyed_key_makes_every_copy_unreadable(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ref = await store.put("demo", "case-1", "x", b"a secret of the patient")
    kept = await store.put("demo", "case-2", "x", b"another case")
    backup = shutil.copytree(tmp_path / "blobs" / "blobs", tmp_path / "backup")
    await store.destroy("demo", "case-1")
    assert not stored(tmp_path).exists()
    shutil.copytree(backup, tmp_path / "blobs" / "blobs", dirs_exist_ok=True)
    assert stored(tmp_path).exists()
    for reader in (store, opened(tmp_path)):
        with pytest.raises(KeyDestroyed):
            await reader.get("demo", ref)
        assert await reader.get("demo", kept) == b"another case"


@pytest.mark.requirement("DX-KEY-03")
async def test_tombstone_stays_and_destroying_again_is_harmless(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put("demo", "case-1", "x", b"1")
    await store.destroy("demo", "case-1")
    await store.destroy("demo", "case-1")
    for writer in (store, opened(tmp_path)):
        with pytest.raises(KeyDestroyed):
            await writer.put("demo", "case-1", "x", b"2")
        with pytest.raises(KeyDestroyed):
            await writer.put_stream("demo", "case-1", "x", pieces(b"2"))
    await store.destroy("demo", "never-seen")
    with pytest.raises(KeyDestroyed):
        await store.put("demo", "never-seen", "x", b"too late")


@pytest.mark.requirement("DX-KEY-03")
async def test_destroyed_key_is_forgotten_by_other_processes_after_seconds() -> None:
    now, store, key = [0.0], MemoryStore(), os.urandom(32)
    one, other = (Blobs(store, Vault(store, key, "analysis", lambda: now[0])) for _ in range(2))
    ref = await one.put("demo", "case-1", "x", b"1")
    assert await other.get("demo", ref) == b"1"
    await one.vault.destroy("demo", "case-1")  # the object itself is still there
    with pytest.raises(KeyDestroyed):
        await one.get("demo", ref)
    now[0] = SCOPE_CACHE_S + 0.1
    with pytest.raises(KeyDestroyed):
        await other.get("demo", ref)


@pytest.mark.requirement("DX-KEY-04")
async def test_wrong_master_key_reads_nothing(tmp_path: Path) -> None:
    ref = await opened(tmp_path).put("demo", "case-1", "x", b"1")
    with pytest.raises(Damaged):
        await opened(tmp_path, b"z" * 32).get("demo", ref)


@pytest.mark.requirement("DX-KEY-04")
async def test_tenants_and_scopes_do_not_read_each_other(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ref = await store.put("north", "case-1", "x", b"north's")
    await store.put("south", "case-1", "x", b"south's")
    shutil.copy(stored(tmp_path, tenant="north"), stored(tmp_path, tenant="south"))
    ref.sha256 = ""
    with pytest.raises(Damaged):
        await store.get("south", ref)
    keys = tmp_path / "blobs" / "keys"
    shutil.copytree(keys / "north", keys / "west")
    with pytest.raises(Damaged):  # a tenant's wrapped key is bound to its place
        await opened(tmp_path).put("west", "case-1", "x", b"1")
    hashes = {await hash_of(store, tenant) for tenant in ("north", "south")}
    assert len(hashes) == 2


async def hash_of(store: Blobs, tenant: str) -> str:
    return (await store.vault.hasher(tenant))("name", "same")


@pytest.mark.requirement("DX-KEY-04")
@pytest.mark.parametrize("name", ["..", "../x", "a/../b", "/x", "a//b", ".x", "", "a\x00", "a b"])
async def test_names_that_could_leave_their_scope_are_refused(name: str) -> None:
    store = memory_blobs()
    for tenant, scope, blob in (("demo", "s", name), ("demo", name, "x"), (name, "s", "x")):
        with pytest.raises(InvalidInput):
            await store.put(tenant, scope, blob, b"1")


@pytest.mark.requirement("DX-KEY-06")
@pytest.mark.parametrize("size", [10, 12 * CHUNK])
async def test_stream_that_fails_leaves_nothing_and_raises_its_own_error(
    tmp_path: Path, size: int
) -> None:
    store = opened(tmp_path)
    parts = [b"x" * min(size, CHUNK)] * max(1, size // CHUNK)
    with pytest.raises(ConnectionResetError):
        await store.put_stream("demo", "case-1", "x", pieces(*parts, error=ConnectionResetError()))
    assert await store.names("demo", "case-1") == []
    assert [path for path in stored(tmp_path).parent.glob("*") if path.is_file()] == []


@pytest.mark.requirement("DX-KEY-06")
async def test_store_that_is_away_is_unavailable(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ref = await store.put("demo", "case-1", "x", b"1")
    shutil.rmtree(tmp_path / "blobs")
    (tmp_path / "blobs").write_text("no longer a folder")
    big = pieces(*[b"x" * CHUNK] * 12)
    for action in (
        lambda: store.put("demo", "case-1", "y", b"1"),
        lambda: store.put_stream("demo", "case-1", "y", big),
        lambda: store.get("demo", ref),
        lambda: store.names("demo", "case-1"),
        lambda: store.destroy("demo", "case-2"),
    ):
        with pytest.raises(Unavailable):
            await action()


@pytest.mark.requirement("DX-KEY-06")
async def test_blob_that_is_gone_is_not_found(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ref = await store.put("demo", "case-1", "x", b"1")
    stored(tmp_path).unlink()
    with pytest.raises(NotFound):
        await store.get("demo", ref)


@pytest.mark.requirement("DX-KEY-01")
async def test_nothing_readable_lies_in_the_folder(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put("demo", "case-1", "x", b"a secret of the patient" * 100)
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file():
            assert b"secret" not in path.read_bytes()
            assert b"k" * 32 not in path.read_bytes()


@pytest.mark.requirement("DX-KEY-01")
async def test_64_mib_take_a_small_multiple_of_their_size(tmp_path: Path) -> None:
    store, size = opened(tmp_path), 64 * CHUNK
    piece = os.urandom(CHUNK // 2)
    tracemalloc.start()
    ref = await store.put_stream("demo", "case-1", "x", pieces(*[piece] * 128))
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    content = await store.get("demo", ref)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(content) == ref.size == size
    assert written < 24 * CHUNK, "writing holds chunks, not the whole"
    assert read < 3.3 * size


@pytest.mark.requirement("DX-DWB-01")
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 77])
async def test_a_blob_is_read_in_pieces(size: int) -> None:
    blobs, content = memory_blobs(), os.urandom(size)
    await blobs.put("north", "case-1", "a/b.bin", content)
    reader = await blobs.open("north", "case-1", "a/b.bin")
    assert reader.size == size
    for start, length in ((0, size), (0, 10), (size // 2, 7), (max(0, CHUNK - 5), 10), (size, 9)):
        assert await reader.read(start, length) == content[start : start + length]


@pytest.mark.requirement("DX-DWB-01")
async def test_a_piece_of_a_changed_blob_is_not_given_out(tmp_path: Path) -> None:
    blobs = opened(tmp_path)
    await blobs.put("demo", "case-1", "x", os.urandom(2 * CHUNK + 9))
    content = bytearray(stored(tmp_path).read_bytes())
    content[HEAD + CHUNK + TAG + 5] ^= 1
    stored(tmp_path).write_bytes(content)
    reader = await blobs.open("demo", "case-1", "x")
    assert len(await reader.read(0, CHUNK)) == CHUNK
    with pytest.raises(Damaged):
        await reader.read(CHUNK, 10)
    with pytest.raises(NotFound):
        await blobs.open("demo", "case-1", "y")
