"""A laboratory system sends over MLLP: real sockets, on loopback; its answers are read by hl7."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import hl7
import pytest
from hl7.mllp import open_hl7_connection
from sqlalchemy import text

from services.ingest.mllp.listener import Listener
from services.ingest.mllp.wiring import Results
from services.ingest.settings import Settings
from services.kernel import subjects
from services.kernel.errors import Unavailable
from services.kernel.settings import BadSettings
from tests.ingest.oru import OBR, PID, WBC, msh, oru, self_signed

HOST = "127.0.0.1"
TABLE = """
[[sender]]
application = "LIS"
facility = "NORTH"
tenant = "{tenant}"
addresses = {addresses}
processing = "PT"
authorities = {{ HIS = "urn:oid:1.2.3" }}
"""
Open = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listen(sqlite_world: Any, tmp_path: Path) -> AsyncIterator[Open]:
    """Return a maker of listeners over one admission; settings by keyword."""
    running: list[Listener] = []

    async def make(addresses: str = '["127.0.0.0/8"]', **settings: Any) -> Listener:
        table = tmp_path / "senders.toml"
        table.write_text(TABLE.format(tenant=sqlite_world.TENANT, addresses=addresses))
        mine = Settings(nats_url="", mllp_port=0, mllp_senders_file=table, **settings)
        world = sqlite_world
        results = Results(world.admission, world.blobs.vault.hasher, lambda: world.time, mine)
        made = await results.listen()
        assert made
        running.append(made)
        return made

    yield make
    for each in running:
        await each.stop()


async def send(listener: Listener, *messages: str, **how: Any) -> list[hl7.Message]:
    """Send messages on one connection as an interface engine does; return the answers."""
    reader, writer = await open_hl7_connection(
        HOST, listener.port, encoding="utf-8", limit=1 << 20, **how
    )
    try:
        answers = []
        for each in messages:
            writer.writemessage(hl7.parse(each))
            answers.append(await asyncio.wait_for(reader.readmessage(), 20))
        return answers
    finally:
        writer.close()


async def raw(listener: Listener, content: bytes) -> bytes:
    """Send bytes as they are; return what is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection(HOST, listener.port)
    writer.write(content)
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:  # closed before everything was read
        return b""
    finally:
        writer.close()


def verdict(answer: hl7.Message) -> str:
    return str(answer.segment("MSA")[1])


def reason(answer: hl7.Message) -> str:
    return str(answer.segment("ERR")[5][0][0])


@pytest.mark.requirement("DX-HL7-01")
async def test_a_message_is_kept_before_it_is_answered(sqlite_world: Any, listen: Open) -> None:
    (answer,) = await send(await listen(), oru())
    assert verdict(answer) == "AA" and str(answer.segment("MSA")[2]) == "M1"
    assert str(answer.segment("MSH")[5][0]) == "LIS"
    (event,) = sqlite_world.bus.published(subjects.CASE_RECEIVED)
    case_id = event.case.case_id
    original = await sqlite_world.originals.of_case("demo", case_id)
    assert original
    assert await sqlite_world.blobs.get("demo", original.blob) == oru().strip().encode() + b"\r"
    assert sqlite_world.consent.asked[-1].subject_key == event.subject_key


@pytest.mark.requirement("DX-HL7-01")
async def test_the_original_is_destroyed_with_its_case_and_not_before(
    sqlite_world: Any, listen: Open
) -> None:
    await send(await listen(), oru())
    (event,) = sqlite_world.bus.published(subjects.CASE_RECEIVED)
    for upload in await sqlite_world.uploads.of_case("demo", event.case.case_id):
        await sqlite_world.intake.destroy("demo", upload.scope)  # as anonymization does
    sqlite_world.later(days=100)
    await sqlite_world.worker.sweep()
    assert await sqlite_world.originals.of_case("demo", event.case.case_id)
    await sqlite_world.worker.stopped(event)
    assert await sqlite_world.originals.of_case("demo", event.case.case_id) is None
    assert not [path for path in sqlite_world.stored() if "original" in path]


@pytest.mark.requirement("DX-HL7-05")
async def test_a_repeated_control_id_has_the_same_answer_and_no_second_case(
    sqlite_world: Any, listen: Open
) -> None:
    again = oru(head=msh(f7="20261126110000+0800"))  # sent again, later
    other = oru(WBC.replace("12.50", "2.50"))
    somebody = oru(pid=PID.replace("MRN0042917", "MRN0000001"))
    first, second, third, fourth = await send(await listen(), oru(), again, other, somebody)
    assert [verdict(each) for each in (first, second, third, fourth)] == ["AA", "AA", "AR", "AR"]
    assert reason(third) == reason(fourth) == "CONTROL_ID_REUSED"
    assert len(sqlite_world.bus.published(subjects.CASE_RECEIVED)) == 1


@pytest.mark.requirement("DX-HL7-05")
async def test_two_connections_with_the_same_message_make_one_case(
    sqlite_world: Any, listen: Open
) -> None:
    listener = await listen()
    answers = await asyncio.gather(*(send(listener, oru()) for _ in range(4)))
    assert {verdict(each) for (each,) in answers} == {"AA"}
    assert len(sqlite_world.bus.published(subjects.CASE_RECEIVED)) == 1


@pytest.mark.requirement("DX-HL7-06")
async def test_without_consent_nothing_is_kept(sqlite_world: Any, listen: Open) -> None:
    sqlite_world.consent.reason = "NO_CONSENT"
    (answer,) = await send(await listen(), oru())
    assert verdict(answer) == "AR" and reason(answer) == "CONSENT_NO_CONSENT"
    assert not sqlite_world.stored()
    assert "赵" not in str(answer) and "MRN0042917" not in str(answer)


@pytest.mark.requirement("DX-HL7-05")
async def test_what_passes_is_to_be_sent_again(sqlite_world: Any, listen: Open) -> None:
    listener = await listen()

    async def away(request: Any) -> None:
        raise Unavailable("the consent service is away")

    asked, sqlite_world.consent.check = sqlite_world.consent.check, away
    (answer,) = await send(listener, oru())
    assert verdict(answer) == "AE"
    sqlite_world.consent.check = asked
    async with sqlite_world.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE ingest_cases RENAME TO gone"))
    (answer,) = await send(listener, oru())
    assert (verdict(answer), reason(answer)) == ("AE", "NOT_KEPT")
    async with sqlite_world.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE gone RENAME TO ingest_cases"))
    (answer,) = await send(listener, oru())
    assert verdict(answer) == "AA"


@pytest.mark.requirement("DX-HL7-05")
@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        (oru(head=msh(f3="OTHER")), "MSH^1^3", "SENDER_UNKNOWN"),
        (oru(head=msh(f9="ADT^A01")), "MSH^1^9", "MESSAGE_TYPE"),
        (oru(head=msh(f11="D")), "MSH^1^11", "PROCESSING_ID"),
        (oru(head=msh(f12="3.0")), "MSH^1^12", "VERSION"),
        (oru(head=msh(control_id="")), "MSH^1^10", "NO_CONTROL_ID"),
        (f"{msh()}\r{OBR}\r{WBC}\r", "PID^1", "NO_PATIENT"),
        (oru(pid="PID|1||||赵^铁柱"), "PID^1^3", "PATIENT_NOT_IDENTIFIED"),
        (f"{msh()}\r{PID}\r{WBC}\r", "OBX^1", "NO_RESULTS"),
        (oru(WBC, PID.replace("MRN0042917", "2"), OBR, WBC), "PID^2", "SECOND_PATIENT"),
    ],
)
async def test_what_lasts_is_refused_with_its_place(
    sqlite_world: Any, listen: Open, content: str, where: str, why: str
) -> None:
    (answer,) = await send(await listen(), content)
    assert verdict(answer) == "AR" and reason(answer) == why
    assert str(answer.segment("ERR")[2]) == where
    assert not sqlite_world.bus.published(subjects.CASE_RECEIVED)


@pytest.mark.requirement("DX-HL7-05")
async def test_what_is_left_out_is_told_with_the_acceptance(
    sqlite_world: Any, listen: Open
) -> None:
    (answer,) = await send(await listen(), oru(WBC, "ZXT|1|x"))
    assert verdict(answer) == "AA"
    told = {str(each[5][0][0]): (str(each[4]), str(each[2])) for each in answer.segments("ERR")}
    assert told["SEGMENT_NOT_READ"] == ("W", "ZXT^1")
    (event,) = sqlite_world.bus.published(subjects.CASE_RECEIVED)
    left_out = [(each.place, each.reason) for each in event.left_out]
    assert ("ZXT[1]", "SEGMENT_NOT_READ") in left_out


@pytest.mark.requirement("DX-HL7-05")
async def test_an_accept_acknowledgment_is_given_where_that_is_asked(listen: Open) -> None:
    (answer,) = await send(await listen(), oru(head=msh(f15="AL", f16="NE")))
    assert verdict(answer) == "CA"


@pytest.mark.requirement("DX-HL7-01")
async def test_a_foreign_address_is_not_listened_to(listen: Open) -> None:
    assert await raw(await listen('["10.9.8.7/32"]'), b"\x0b" + oru().encode() + b"\x1c\r") == b""


@pytest.mark.requirement("DX-HL7-01")
async def test_whatever_is_sent_each_block_has_its_answer(listen: Open) -> None:
    listener = await listen(mllp_bytes_max=40_000)
    assert b"|AR|" in await raw(listener, b"\x0bgarbage\x1c\r")
    big = b"\x0b" + oru().encode() + b"x" * 60_000 + b"\x1c\r"
    answered = await raw(listener, big)
    assert b"MSA|AR|M1" in answered and b"MESSAGE_TOO_LARGE" in answered
    assert await raw(listener, b"GET / HTTP/1.1\r\n" * 1000) == b""
    assert await raw(listener, b"\x0bMSH|^~\\&|cut off") == b""
    two = b"\r\n\x0b" + oru().encode() + b"\x1c\r\n\x0b" + oru().encode() + b"\x1c\r"
    assert (await raw(listener, two)).count(b"MSA|AA|M1") == 2
    acknowledgement = msh(f9="ACK^R01") + "\rMSA|AA|1\r"
    assert await raw(listener, b"\x0b" + acknowledgement.encode() + b"\x1c\r") == b""


@pytest.mark.requirement("DX-HL7-01")
async def test_silence_and_crowds_end(listen: Open) -> None:
    listener = await listen(mllp_idle_s=0.1, mllp_message_s=0.1, mllp_connections=1)
    for begun in (b"", b"\x0bMSH"):
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writer.write(begun)
        second, other = await asyncio.open_connection(HOST, listener.port)
        assert await asyncio.wait_for(second.read(), 5) == b""
        assert await asyncio.wait_for(reader.read(), 5) == b""
        for each in (writer, other):
            each.close()


@pytest.mark.requirement("DX-HL7-01")
async def test_tls_is_spoken_and_a_certificate_asked_for(listen: Open, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    listener = await listen(
        mllp_certificate_file=certificate, mllp_key_file=key, mllp_client_ca_file=certificate
    )
    client = ssl.create_default_context(cafile=str(certificate))
    client.check_hostname = False
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await send(listener, oru(), ssl=client)
    client.load_cert_chain(certificate, key)
    (answer,) = await send(listener, oru(), ssl=client)
    assert verdict(answer) == "AA"
    files = {"mllp_certificate_file": certificate, "mllp_key_file": key}
    crowded = await listen(mllp_connections=1, **files)
    _, silent = await asyncio.open_connection(HOST, crowded.port)  # it shakes no hand
    await asyncio.sleep(0.05)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await send(crowded, oru(), ssl=client)
    silent.close()
    named = '["127.0.0.0/8"]\ncertificates = ["{}"]'
    with pytest.raises(BadSettings):
        await listen(named.format("laboratories"), **files)
    for name, expected in (("Laboratories", "AA"), ("another", "AR")):
        listener = await listen(named.format(name), mllp_client_ca_file=certificate, **files)
        (answer,) = await send(listener, oru(), ssl=client)
        assert verdict(answer) == expected


@pytest.mark.requirement("DX-HL7-06")
async def test_nothing_of_a_message_reaches_a_log(
    sqlite_world: Any, listen: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    listener = await listen()
    sqlite_world.consent.reason = "DENIED"
    await send(listener, oru(), oru(pid="PID|1||||赵^铁柱"), oru(head=msh(f3="X")))
    await raw(listener, b"\x0b" + oru().replace("OBR", "PID").encode() + b"\x1c\r")
    for part in ("铁柱", "MRN0042917", "12.50", "血常规"):
        assert part not in caplog.text
