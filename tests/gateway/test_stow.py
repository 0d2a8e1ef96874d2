"""STOW-RS: each part streamed on, and only what ingest confirms is called stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dxmesh.ingest.v1.ingest_service_pb2 import StoreFilesRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.dicomweb.grouped import encoded
from services.gateway.dicomweb.multipart import Multipart, boundary
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.kernel.errors import Forbidden, InvalidInput, MeshError, Unavailable

DICOM_JSON = "application/dicom+json"


def body(*parts: tuple[str, bytes], mark: str = "MARK", end: bool = True) -> bytes:
    text = b""
    for kind, content in parts:
        text += f"--{mark}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n"
    return text + (f"--{mark}--\r\n".encode() if end else b"")


async def stow(world: Any, content: Any, kind: str = "", **headers: str) -> Any:
    kind = kind or 'multipart/related; type="application/dicom"; boundary=MARK'
    sent = {**world.bearer(), "Content-Type": kind, **headers}
    return await world.http.post("/dicom-web/studies", content=content, headers=sent)


GOOD, BAD = ("application/dicom", b"GOOD"), ("application/dicom", b"text")


@pytest.mark.requirement("DX-GW-15")
@pytest.mark.parametrize(
    "kind",
    [
        'multipart/related; type="application/dicom"; boundary=MARK',
        'multipart/related; type=application/dicom; boundary="MARK"',
        'Multipart/Related;boundary="MARK";type="application/dicom"',
    ],
)
async def test_all_parts_stored_is_200(world: Any, kind: str) -> None:
    answer = await stow(world, body(GOOD, GOOD), kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == DICOM_JSON
    stored = answer.json()["00081199"]["Value"]
    assert [s["00081155"]["Value"][0] for s in stored] == ["1.2.1", "1.2.2"]


@pytest.mark.requirement("DX-GW-16")
async def test_what_is_not_stored_is_never_called_stored(world: Any) -> None:
    some = await stow(world, body(GOOD, BAD), Accept=DICOM_JSON)
    assert some.status_code == 202
    assert len(some.json()["00081199"]["Value"]) == 1
    failed = some.json()["00081198"]["Value"][0]
    assert failed["00081197"]["Value"] == [0xC000]
    assert "NOT_DICOM" in failed["00000902"]["Value"][0]
    none = await stow(world, body(BAD))
    assert none.status_code == 409
    assert none.json()["issue"][0]["expression"] == ["part-1"]
    as_dicom = await stow(world, body(BAD), Accept=DICOM_JSON)
    assert as_dicom.status_code == 409 and "00081199" not in as_dicom.json()


async def test_a_refusal_of_one_part_leaves_the_others(world: Any) -> None:
    answer = await stow(world, body(("text/plain", b"GOOD"), GOOD))
    assert answer.status_code == 202 and len(world.peers.uploads) == 1


async def test_zip_and_single_bodies_are_taken(world: Any) -> None:
    single = await stow(world, b"GOOD", "application/dicom")
    archive = await stow(world, b"GOOD", "application/zip")
    in_part = await stow(world, body(("application/zip", b"GOOD")))
    assert [a.status_code for a in (single, archive, in_part)] == [200, 200, 200]
    assert [kind for kind, *_ in world.peers.uploads] == [
        "application/dicom",
        "application/zip",
        "application/zip",
    ]


async def test_an_instance_of_another_study_is_a_failure(world: Any) -> None:
    sent = {**world.bearer(), "Content-Type": "application/dicom", "Accept": DICOM_JSON}
    other = await world.http.post("/dicom-web/studies/9.9", content=b"GOOD", headers=sent)
    same = await world.http.post("/dicom-web/studies/1.2.9", content=b"GOOD", headers=sent)
    assert (other.status_code, same.status_code) == (409, 200)
    assert other.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


@pytest.mark.requirement("DX-GW-17")
async def test_a_large_part_is_never_held_whole(world: Any) -> None:
    async def large() -> AsyncIterator[bytes]:
        yield b"--MARK\r\nContent-Type: application/dicom\r\n\r\nGOOD"
        for _ in range(64):
            yield b"\0" * (64 << 10)
        yield b"\r\n--MARK--"

    answer = await stow(world, large())
    assert answer.status_code == 200
    assert world.peers.uploads[0][2] == 4 + (4 << 20)
    assert world.peers.largest_chunk <= 64 << 10


async def test_an_upload_over_the_limit_is_413(world: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"--MARK\r\nContent-Type: application/dicom\r\n\r\nGOOD"
        for _ in range(1000):
            yield b"\0" * (64 << 10)

    assert (await stow(world, endless())).status_code == 413
    assert world.peers.uploads == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", 'multipart/related; boundary="MARK"', 400),
        (b"garbage", 'multipart/related; boundary="MARK"', 400),
        (body(GOOD, end=False), 'multipart/related; boundary="MARK"', 400),
        (body(GOOD), "multipart/related", 415),
        (body(GOOD), "multipart/form-data; boundary=MARK", 415),
        (body(GOOD), 'multipart/related; boundary=""', 415),
        (b"x", "application/json", 415),
        (b"x", "", 415),
        (b"--MARK\r\nX: " + b"a" * 20_000, "multipart/related; boundary=MARK", 400),
    ],
)
async def test_what_is_not_multipart_is_refused(
    world: Any, content: bytes, kind: str, status: int
) -> None:
    answer = await stow(world, content, kind or "text/plain")
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_peer_that_is_away_is_503_and_a_refusal_is_the_parts(world: Any) -> None:
    world.peers.fails = Unavailable("ingest is away")
    assert (await stow(world, body(GOOD))).status_code == 503
    world.peers.fails = Unavailable("a peer answered RESOURCE_EXHAUSTED", reason="BUSY")
    busy = await stow(world, body(GOOD))
    assert busy.status_code == 503 and busy.headers["retry-after"] == "2"
    assert busy.json()["issue"][0]["details"]["coding"][0]["code"] == "BUSY"
    world.peers.fails = Forbidden("no")
    assert (await stow(world, body(GOOD))).status_code == 409


async def trail(world: Any) -> list[tuple[str, str]]:
    """Return interaction and outcome of what the hospital's system did, oldest first."""
    answer = await world.get("/fhir/AuditEvent?_count=50&_sort=date", "auditor")
    events = [each["resource"] for each in answer.json().get("entry", [])]
    return [(event["subtype"][0]["code"], event["outcome"]) for event in events]


@pytest.mark.requirement("DX-GW-16")
async def test_what_came_whole_before_a_broken_body_is_stored_and_in_the_trail(world: Any) -> None:
    answer = await stow(world, body(GOOD, GOOD, end=False))
    assert answer.status_code == 400
    assert len(world.peers.uploads) == 1, "the part that came whole"
    assert await trail(world) == [("upload", "0"), ("upload", "4")]


@pytest.mark.requirement("DX-GW-16")
async def test_what_was_stored_before_a_peer_went_away_is_in_the_trail(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, began = world.peers.store_files, asyncio.Event()

    async def store_files(tenant: str, files: Any) -> Any:
        if began.is_set():
            raise Unavailable("ingest is away")
        began.set()
        await asyncio.sleep(0.05)  # the first group is answered after the second was refused
        return await first(tenant, files)

    monkeypatch.setattr(world.peers, "store_files", store_files)
    answer = await stow(world, body(*[GOOD] * 70))
    assert answer.status_code == 503
    assert len(world.peers.uploads) == 64
    assert await trail(world) == [("upload", "0"), ("upload", "8")]


def test_a_group_is_encoded_as_protobuf_has_it() -> None:
    files = [("胸部-1.dcm", [b"", b"a" * 130, b"b" * 20_000]), ("", []), ("x" * 300, [b"\0"])]
    read = StoreFilesRequest.FromString(encoded("demo", files))
    assert read.tenant == "demo"
    assert [(f.label, f.content) for f in read.files] == [(n, b"".join(c)) for n, c in files]


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    st.integers(1, 64),
    st.sampled_from(["MARK", "a", "x-=_'()+,./:? y"]),
)
@settings(max_examples=80)
async def test_parts_come_out_as_they_went_in(contents: list[bytes], size: int, mark: str) -> None:
    if any(f"\r\n--{mark}".encode() in b"\r\n" + c for c in contents):
        return
    sent = body(*(("application/dicom", c) for c in contents), mark=mark)
    read = Multipart(pieces(sent, size), mark.encode())
    found = [b"".join([d async for d in read.content()]) async for _ in read.parts()]
    assert found == contents


@given(st.binary(max_size=400), st.integers(1, 50))
async def test_no_body_crashes_the_reader(content: bytes, size: int) -> None:
    read = Multipart(pieces(content, size), b"MARK")
    try:
        async for _ in read.parts():
            continue
    except MeshError as error:
        assert isinstance(error, InvalidInput)


@given(st.text(max_size=120))
def test_no_content_type_crashes_the_boundary(text: str) -> None:
    try:
        assert boundary(f"multipart/related; {text}")
    except UnsupportedMediaType:
        return
