"""An upload: each file is stored or refused by name, nothing is overwritten, little is held."""

from __future__ import annotations

import asyncio
import io
import os
import tracemalloc
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dxmesh.ingest.v1 import ingest_service_pb2 as pb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore

from services.ingest.settings import Settings
from services.ingest.store.spool import CHUNK, MEMORY_BYTES, Spool
from services.kernel.errors import InvalidInput, TooLarge

ZIP = "application/zip"
Maker = Callable[..., Any]


def reasons(answer: pb.StoreInstancesResponse) -> dict[str, str]:
    return {problem.source: problem.reason for problem in answer.problems}


@pytest.mark.requirement("DX-ING-02")
async def test_a_file_that_is_no_instance_is_named(sqlite_world: Any, ct: Maker) -> None:
    answer = await sqlite_world.upload(ct()[:-3], label="CT/0001.dcm")
    assert reasons(answer) == {"CT/0001.dcm": "TRUNCATED"} and not answer.stored
    assert answer.problems[0].message and not sqlite_world.stored()


@pytest.mark.requirement("DX-ING-03")
async def test_an_archives_good_files_are_stored_and_the_others_named(
    sqlite_world: Any, ct: Maker, packed: Maker
) -> None:
    files = {f"IMG/{n}": ct() for n in range(3)} | {
        "IMG/cut": ct()[:-1],
        "README.txt": b"a viewer",
        "DICOMDIR": b"x",
        "../up": ct(),
        "inner.zip": packed({"a": ct()}),
    }
    answer = await sqlite_world.upload(packed(files), ZIP)
    assert len(answer.stored) == 3 == len(sqlite_world.stored())
    assert reasons(answer) == {
        "IMG/cut": "TRUNCATED",
        "README.txt": "NOT_DICOM",
        "DICOMDIR": "SYSTEM_FILE",
        "../up": "UNSAFE_NAME",
        "inner.zip": "NESTED_ARCHIVE",
    }


@pytest.mark.requirement("DX-ING-03")
async def test_an_archive_over_a_limit_leaves_nothing(
    sqlite_world: Any, ct: Maker, packed: Maker
) -> None:
    files = {"image": ct(), "bomb": bytes(64 << 20)}
    with pytest.raises(TooLarge) as caught:
        await sqlite_world.upload(packed(files), ZIP)
    assert caught.value.reason == "ZIP_BOMB" and not sqlite_world.stored()
    with pytest.raises(InvalidInput) as empty:
        await sqlite_world.upload(packed({}), ZIP)
    assert empty.value.reason == "EMPTY_ARCHIVE"


@pytest.mark.requirement("DX-ING-04")
@pytest.mark.parametrize("kind", ["application/dicom", ZIP])
async def test_three_gigabytes_are_refused_on_the_way_and_never_held(
    sqlite_world: Any, kind: str, tmp_path: Path
) -> None:
    limit, sent, spool = 32 << 20, 0, tmp_path / "spool"
    spool.mkdir()
    sqlite_world.settings = Settings(
        nats_url="", instance_bytes_max=limit, archive_bytes_max=limit, spool_dir=spool
    )
    sqlite_world.restart()

    async def messages() -> AsyncIterator[pb.StoreInstancesRequest]:
        nonlocal sent
        header = pb.ContentHeader(tenant="demo", media_type=kind, label="huge.dcm")
        yield pb.StoreInstancesRequest(header=header)
        piece = bytes(1 << 20)
        for _ in range(3 << 10):
            sent += len(piece)
            yield pb.StoreInstancesRequest(chunk=piece)

    tracemalloc.start()
    with pytest.raises(TooLarge) as caught:
        await sqlite_world.service.StoreInstances(messages(), None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason == "INSTANCE_TOO_LARGE"
    assert sent <= limit + (1 << 20) and peak < 12 << 20
    assert not sqlite_world.stored() and not list(spool.iterdir())


@pytest.mark.requirement("DX-ING-04")
async def test_a_large_file_is_stored_without_being_held(
    sqlite_world: Any, ct: Maker, tmp_path: Path
) -> None:
    sqlite_world.store = LocalStore(tmp_path / "blobs", mkdir=True)
    sqlite_world.restart()
    content = ct(PixelData=bytes(96 << 20), Rows=8192, Columns=6144)
    tracemalloc.start()
    answer = await sqlite_world.upload(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(answer.stored) == 1 == len(sqlite_world.stored())
    assert peak < 40 << 20, "the store's writer holds up to 20 MiB, whatever the size"


@pytest.mark.requirement("DX-ING-05")
async def test_the_same_bytes_are_a_duplicate_and_others_are_refused(world: Any, ct: Maker) -> None:
    first = ct(SOPInstanceUID="1.2.9.1.5")
    assert not (await world.upload(first)).stored[0].duplicate
    before = world.stored()
    (again,) = (await world.upload(first)).stored
    assert again.duplicate and world.stored() == before
    other = await world.upload(ct(pixel=8, SOPInstanceUID="1.2.9.1.5"), label="other.dcm")
    assert reasons(other) == {"other.dcm": "OTHER_CONTENT"} and not other.stored
    assert world.stored() == before
    moved = await world.upload(ct(StudyInstanceUID="1.2.8", SOPInstanceUID="1.2.9.1.5"))
    assert moved.problems[0].reason == "OTHER_CONTENT"


@pytest.mark.requirement("DX-ING-05")
async def test_one_instance_twice_at_once_is_one_row(world: Any, ct: Maker) -> None:
    content, other = ct(SOPInstanceUID="1.2.9.1.5"), ct(pixel=9, SOPInstanceUID="1.2.9.1.5")
    answers = await asyncio.gather(*(world.upload(c) for c in (content, other) * 4))
    kept = [a for a in answers if a.stored]
    assert len(kept) == 4 and sum(not a.stored[0].duplicate for a in kept) == 1
    assert all(a.problems[0].reason == "OTHER_CONTENT" for a in answers if not a.stored)
    (upload,) = await world.uploads.of_study("demo", await _study_key(world))
    assert upload.changes >= 1
    assert len(await world.uploads.of_scope("demo", upload.scope)) == 1


@pytest.mark.requirement("DX-ING-11")
async def test_a_crash_between_bytes_and_row_loses_nothing(
    world: Any, ct: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ct()
    with monkeypatch.context() as broken:
        broken.setattr(world.uploads, "add", _crash)
        with pytest.raises(RuntimeError):
            await world.upload(content)
    world.restart()
    (stored,) = (await world.upload(content)).stored
    assert not stored.duplicate and len(world.stored()) == 1


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "NO_HEADER"),
        ([pb.StoreInstancesRequest(chunk=b"x")], "NO_HEADER"),
        ([pb.StoreInstancesRequest(header=pb.ContentHeader(tenant="t"))], "MEDIA_TYPE"),
        ([pb.StoreInstancesRequest(header=pb.ContentHeader(tenant="../t"))], "INVALID_INPUT"),
    ],
)
async def test_a_stream_without_its_header_is_refused(
    sqlite_world: Any, messages: list[pb.StoreInstancesRequest], reason: str
) -> None:
    async def stream() -> AsyncIterator[pb.StoreInstancesRequest]:
        for message in messages:
            yield message

    with pytest.raises(InvalidInput) as caught:
        await sqlite_world.service.StoreInstances(stream(), None)
    assert caught.value.reason == reason


@pytest.mark.requirement("DX-ING-03")
@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_whatever_is_sent_every_file_is_stored_or_named(
    sqlite_world: Any, ct: Maker, packed: Maker, data: st.DataObject
) -> None:
    good = ct(SOPInstanceUID="1.2.9.1.5")
    files = {
        f"f{n}": good[: data.draw(st.integers(0, len(good)))]
        for n in range(data.draw(st.integers(1, 4)))
    }
    content = bytearray(packed(files, zipfile.ZIP_STORED))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = await sqlite_world.upload(bytes(content), ZIP)
            named = len(zipfile.ZipFile(io.BytesIO(content)).infolist())
        except (InvalidInput, zipfile.BadZipFile):
            return
    assert len(answer.stored) + len(answer.problems) == named


@pytest.mark.requirement("DX-ING-04")
@pytest.mark.parametrize("size", [CHUNK * 2 + 77, MEMORY_BYTES, MEMORY_BYTES + CHUNK + 77])
def test_the_spool_holds_what_it_was_given_and_shows_nothing(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    with Spool(tmp_path, 1 << 30, TooLarge("too large")) as spool:
        for start in range(0, len(content), 70_001):
            spool.write(content[start : start + 70_001])
        spool.finish()
        reader = spool.reader()
        assert reader.read() == content
        for place in (0, 1, CHUNK - 1, CHUNK, CHUNK * 2 + 76, size - 1, size):
            reader.seek(place)
            assert reader.read(50) == content[place : place + 50]
        reader.seek(-77, os.SEEK_END)
        assert reader.read() == content[-77:]
        if size <= MEMORY_BYTES:
            assert spool._file is None, "what is small never reaches the disk"
        else:
            assert spool._file
            spool._file.seek(0)
            assert content[:64] not in spool._file.read()
        assert not list(tmp_path.iterdir()), "the file has no name while it is open"


async def _study_key(world: Any) -> str:
    return str((await world.blobs.vault.hasher("demo"))("study", "1.2.9"))


async def _crash(*_: object) -> None:
    raise RuntimeError("killed here")
