"""A modality sends: real associations with our listener, on loopback."""

from __future__ import annotations

import asyncio
import datetime
import io
import queue
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from services.ingest.dimse import listener as listening
from services.ingest.dimse.devices import Device
from services.ingest.dimse.listener import Listener
from services.ingest.dimse.receiving import Receiver
from services.ingest.settings import Settings

HOST = "127.0.0.1"
FILES = Path(pydicom.__file__).parent / "data" / "test_files"
Open = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listen(sqlite_world: Any) -> AsyncIterator[Open]:
    """Return a maker of listeners over one intake; settings by keyword."""
    running: list[Listener] = []

    async def make(device: Device | None = None, **settings: Any) -> Listener:
        device = device or Device("CT1", sqlite_world.TENANT)
        mine = Settings(nats_url="", dimse_port=0, **settings)
        receiver = Receiver(sqlite_world.intake, bytes_max=mine.dimse_bytes_max, at_once=4)
        made = Listener(mine, {device.title: device}, receiver)
        made.start()
        running.append(made)
        return made

    yield make
    for each in running:
        await each.stop()


def _send(
    port: int, *contents: bytes, title: str = "CT1", called: str = "DXMESH", **how: Any
) -> list[Dataset]:
    """Send files as a modality does, each in its own syntax; [] when it was not let in."""
    entity = AE(ae_title=title)
    files = [dcmread(io.BytesIO(content), defer_size=None, force=True) for content in contents]
    for file in files:
        entity.add_requested_context(file.SOPClassUID, file.file_meta.TransferSyntaxUID)
    if not files:
        entity.add_requested_context(Verification)
    association = entity.associate(HOST, port, ae_title=called, **how)
    if not association.is_established:
        return []
    answers = [association.send_c_store(file) for file in files] or [association.send_c_echo()]
    association.release()
    return answers


async def _bytes_of(world: Any, sop: str) -> bytes:
    """Return what the intake holds of an instance."""
    hasher = await world.blobs.vault.hasher(world.TENANT)
    (held,) = await world.uploads.of_instance(world.TENANT, hasher("instance", sop))
    instance: IntakeInstance = await world.intake._opened(world.TENANT, held)
    return bytes(await world.blobs.get(world.TENANT, instance.blob))


@pytest.mark.requirement("DX-RCV-01")
async def test_c_echo_answers(listen: Open) -> None:
    made = await listen()
    (answer,) = await asyncio.to_thread(_send, made.port)
    assert answer.Status == 0


@pytest.mark.requirement("DX-RCV-01")
@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm"],
)
async def test_what_was_acknowledged_is_kept_byte_for_byte_in_its_syntax(
    listen: Open, sqlite_world: Any, name: str
) -> None:
    content = FILES.joinpath(name).read_bytes()
    made = await listen()
    (answer,) = await asyncio.to_thread(_send, made.port, content)
    assert answer.Status == 0
    sent = dcmread(io.BytesIO(content))
    kept = dcmread(io.BytesIO(await _bytes_of(sqlite_world, sent.SOPInstanceUID)))
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert kept.PixelData == sent.PixelData
    assert kept == sent


@pytest.mark.requirement("DX-RCV-01")
async def test_a_storage_class_nobody_has_heard_of_is_taken(
    listen: Open, sqlite_world: Any, ct: Callable[..., bytes]
) -> None:
    private = "1.2.826.0.1.3680043.8.498.77"
    content = ct(SOPClassUID=private)
    file = dcmread(io.BytesIO(content))
    file.file_meta.MediaStorageSOPClassUID = private
    buffer = io.BytesIO()
    file.save_as(buffer)
    made = await listen()
    (answer,) = await asyncio.to_thread(_send, made.port, buffer.getvalue())
    assert answer.Status == 0
    assert await sqlite_world.intake.holds(sqlite_world.TENANT, file.SOPInstanceUID)


@pytest.mark.requirement("DX-RCV-01")
async def test_what_was_sent_can_be_submitted(
    listen: Open, sqlite_world: Any, ct: Callable[..., bytes]
) -> None:
    made = await listen()
    answers = await asyncio.to_thread(_send, made.port, ct(), ct())
    assert [a.Status for a in answers] == [0, 0]
    found = await sqlite_world.intake.gather(sqlite_world.TENANT, "1.2.9", "case")
    assert len(found.instances) == 2


@pytest.mark.requirement("DX-RCV-02")
async def test_strangers_are_not_let_in(listen: Open, ct: Callable[..., bytes]) -> None:
    made = await listen()
    assert await asyncio.to_thread(_send, made.port, ct(), title="STRANGER") == []
    assert await asyncio.to_thread(_send, made.port, ct(), called="OTHER") == []


@pytest.mark.requirement("DX-RCV-02")
async def test_a_known_title_from_a_foreign_address_is_not_let_in(
    listen: Open, sqlite_world: Any, ct: Callable[..., bytes]
) -> None:
    elsewhere = listening.devices.read(
        '[[device]]\ntitle = "CT1"\ntenant = "demo"\naddresses = ["10.9.0.0/16"]'
    )["CT1"]
    made = await listen(elsewhere)
    assert await asyncio.to_thread(_send, made.port, ct()) == []
    assert sqlite_world.stored() == []


@pytest.mark.requirement("DX-RCV-01")
async def test_an_instance_that_cannot_be_kept_is_refused_and_the_association_goes_on(
    listen: Open, sqlite_world: Any, ct: Callable[..., bytes]
) -> None:
    first, other = ct(pixel=1), ct(pixel=2)
    uid = dcmread(io.BytesIO(first)).SOPInstanceUID
    again = ct(pixel=3, SOPInstanceUID=uid)
    made = await listen()
    answers = await asyncio.to_thread(_send, made.port, first, again, other)
    assert [a.Status for a in answers] == [0, 0x0111, 0]
    assert answers[1].ErrorComment == "OTHER_CONTENT"


@pytest.mark.requirement("DX-RCV-03")
async def test_an_instance_over_the_limit_ends_its_association_before_it_fills_the_memory(
    listen: Open, sqlite_world: Any, ct: Callable[..., bytes]
) -> None:
    import numpy as np

    large = ct(Rows=1024, Columns=1024, PixelData=np.zeros((1024, 1024), np.uint16).tobytes())
    made = await listen(dimse_bytes_max=1 << 20)
    answers = await asyncio.to_thread(_send, made.port, large)
    assert all("Status" not in answer for answer in answers)
    assert sqlite_world.stored() == []
    (after,) = await asyncio.to_thread(_send, made.port, ct())
    assert after.Status == 0


@pytest.mark.requirement("DX-RCV-03")
async def test_a_stranger_that_announces_gigabytes_is_not_listened_to(
    listen: Open, ct: Callable[..., bytes]
) -> None:
    made = await listen()

    def announce() -> bytes:
        with socket.create_connection((HOST, made.port), timeout=5) as stranger:
            stranger.sendall(b"\x01\x00" + (1 << 30).to_bytes(4, "big"))
            return stranger.recv(1)

    assert await asyncio.to_thread(announce) == b""
    (after,) = await asyncio.to_thread(_send, made.port, ct())
    assert after.Status == 0


@pytest.mark.requirement("DX-RCV-04")
async def test_storage_commitment_reports_what_is_held_on_an_association_of_its_own(
    listen: Open, ct: Callable[..., bytes]
) -> None:
    reports: queue.Queue[tuple[int, Dataset]] = queue.Queue()

    def heard(event: Any) -> tuple[int, None]:
        reports.put((event.event_type, event.event_information))
        return 0, None

    modality = AE(ae_title="CT1")
    modality.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server: Any = modality.start_server(
        (HOST, 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, heard)]
    )
    place = (HOST, int(server.server_address[1]))
    made = await listen(Device("CT1", "demo", report_to=place))
    content = ct()
    file = dcmread(io.BytesIO(content))
    missing, transaction = str(generate_uid()), str(generate_uid())

    def ask() -> int:
        _send(made.port, content)
        asker = AE(ae_title="CT1")
        asker.add_requested_context(StorageCommitmentPushModel)
        association = asker.associate(HOST, made.port, ae_title="DXMESH")
        asked = Dataset()
        asked.TransactionUID = transaction
        asked.ReferencedSOPSequence = [Dataset(), Dataset()]
        for item, uid in zip(
            asked.ReferencedSOPSequence, (file.SOPInstanceUID, missing), strict=True
        ):
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = file.SOPClassUID, uid
        status, _ = association.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
        return int(status.Status)

    try:
        assert await asyncio.to_thread(ask) == 0
        event_type, report = await asyncio.to_thread(reports.get, True, 10)
    finally:
        await asyncio.to_thread(server.shutdown)
    assert event_type == 2 and report.TransactionUID == transaction
    assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [
        file.SOPInstanceUID
    ]
    (failed,) = report.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (missing, 0x0112)


@pytest.mark.requirement("DX-RCV-02")
async def test_with_tls_only_a_certificate_of_the_authority_gets_in(
    listen: Open, tmp_path: Path, ct: Callable[..., bytes]
) -> None:
    certificate, key = _certificate(tmp_path)
    made = await listen(
        dimse_certificate_file=certificate, dimse_key_file=key, dimse_client_ca_file=certificate
    )
    context = ssl.create_default_context(cafile=str(certificate))
    nobody = ssl.create_default_context(cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    for each in (context, nobody):
        each.check_hostname = False
    known = await asyncio.to_thread(_send, made.port, ct(), tls_args=(context, None))
    assert [a.Status for a in known] == [0]
    assert await asyncio.to_thread(_send, made.port, ct(), tls_args=(nobody, None)) == []
    assert await asyncio.to_thread(_send, made.port, ct()) == []


@pytest.mark.requirement("DX-RCV-04")
async def test_a_report_is_tried_again_though_the_intake_was_away(
    listen: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, sent = await listen(), list[tuple[int, Dataset]]()
    answers: list[Any] = [OSError("the database is away"), {"1.2.3"}]

    async def held(*_: Any) -> set[str]:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return set(answer)

    monkeypatch.setattr(made._receiver, "held", held)
    monkeypatch.setattr(listening, "REPORT_PAUSE_S", 0.01)
    monkeypatch.setattr(listening.commitment, "send", lambda _, __, *report: sent.append(report))
    request = listening.commitment.Request("1.2.9", [listening.Named("1.2", "1.2.3")])
    await made._report(Device("CT1", "demo", report_to=(HOST, 1)), request)
    assert [event_type for event_type, _ in sent] == [listening.commitment.ALL_HELD]


@pytest.mark.requirement("DX-RCV-02")
async def test_a_caller_that_says_nothing_keeps_nobody_waiting(
    listen: Open, tmp_path: Path, ct: Callable[..., bytes]
) -> None:
    certificate, key = _certificate(tmp_path)
    made = await listen(dimse_certificate_file=certificate, dimse_key_file=key)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False

    def both() -> list[Dataset]:
        with socket.create_connection((HOST, made.port)):
            time.sleep(0.3)
            entity = AE(ae_title="CT1")
            entity.connection_timeout = entity.acse_timeout = 3
            entity.add_requested_context(Verification)
            association = entity.associate(
                HOST, made.port, ae_title="DXMESH", tls_args=(context, None)
            )
            if not association.is_established:
                return []
            answer = association.send_c_echo()
            association.release()
            return [answer]

    assert [a.Status for a in await asyncio.to_thread(both)] == [0]


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "modalities")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    places = folder / "tls.crt", folder / "tls.key"
    places[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    places[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return places
