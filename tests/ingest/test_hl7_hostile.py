"""HL7 v2 as it really comes, and as somebody might send it to do harm: nothing lost or bent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.ingest.hl7v2 import acknowledgement, batch, header, moments, senders
from services.ingest.mllp.framing import Blocks, framed
from services.ingest.mllp.receiving import Receiver
from services.kernel.errors import Damaged, MeshError, RemoteError
from tests.ingest.oru import (
    NOW,
    PID,
    WBC,
    msh,
    names,
    observation,
    oru,
    reasons,
    refused,
    resources,
)


def obx(value: str, kind: str = "NM", unit: str = "mmol/L", limits: str = "") -> str:
    return f"OBX|1|{kind}|X^x^L||{value}|{unit}|{limits}||||F"


async def blocks(*pieces: bytes) -> list[bytes]:
    """Return the blocks of a stream that arrives in these pieces."""
    reader = asyncio.StreamReader()
    found = Blocks(reader, 1 << 20, 5)
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    made = []
    while (content := await found.next(5)) is not None:
        made.append(content)
    return made


@pytest.mark.requirement("DX-HL7-02")
async def test_a_message_begun_anew_is_not_joined_to_its_first_half() -> None:
    whole = oru().encode()
    again = b"\x0b" + whole[: len(whole) - 30] + framed(whole)
    assert await blocks(again) == [whole]
    # A vertical tab within a text begins nothing.
    tabbed = oru(obx("one\x0btwo", "TX")).encode()
    assert await blocks(framed(tabbed)) == [tabbed]
    marked = b"\xef\xbb\xbf" + whole
    assert await blocks(b"\x0b" + whole[:80], framed(marked)) == [marked]


@pytest.mark.requirement("DX-HL7-02")
async def test_two_messages_in_one_read_and_one_in_many_are_whole() -> None:
    one, two = oru(head=msh("A")).encode(), oru(head=msh("B")).encode()
    sent = framed(one) + b"\r\n" + framed(two)
    assert await blocks(sent) == [one, two]
    assert await blocks(*(sent[n : n + 1] for n in range(len(sent)))) == [one, two]


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize("value", ["１２．５０", "12.50"])
def test_full_width_figures_are_figures(value: str) -> None:
    found = observation(obx(value, limits="３.５－１５"))
    assert found["valueQuantity"] == {"value": 12.5, "unit": "mmol/L"}
    assert found["referenceRange"][0]["high"]["value"] == 15
    assert found["referenceRange"][0]["text"] == "３.５－１５"


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize("value", ["٣", "१२", "1२"])
def test_figures_of_other_scripts_are_kept_as_text(value: str) -> None:
    assert observation(obx(value))["valueString"] == value
    assert moments.moment("٢٠٢٦1126", "+08:00") == ""


@pytest.mark.requirement("DX-HL7-02")
def test_escapes_bring_no_control_characters_back() -> None:
    assert observation(obx(r"a\X00\b\X0B1B\c", "ST"))["valueString"] == "abc"
    assert observation(obx(r"a\X0D0A\b", "ST"))["valueString"] == "a\nb"
    assert observation(obx(r"a\.BR\b", "ST"))["valueString"] == "a\nb"
    pid = PID.replace("铁柱", r"铁\X0D\柱")
    assert resources(oru(pid=pid), "Patient")[0]["name"][0]["given"] == ["铁\n柱"]


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("limits", "low", "high"),
    [
        ("3.5-9.5 mmol/L", 3.5, 9.5),
        ("3.5~9.5", 3.5, 9.5),
        ("3.5 - 9.5mmol/L", 3.5, 9.5),
        ("<5 mmol/L", None, 5),
        ("≦5", None, 5),
        ("≧5", 5, None),
        ("＜5", None, 5),
        ("3.5−9.5", 3.5, 9.5),
        ("3.5－9.5", 3.5, 9.5),
        ("up to 5", None, 5),
        ("3.5-9.5 g/L", None, None),
        ("M: 4.0-5.5 F: 3.5-5.0", None, None),
        ("3,5-9,5", None, None),
        ("1:80", None, None),
        ("阴性", None, None),
        ("40-", None, None),
    ],
)
def test_ranges_as_they_are_printed(limits: str, low: float | None, high: float | None) -> None:
    found = observation(obx("1", limits=limits))["referenceRange"][0]
    ends = (found.get("low", {}).get("value"), found.get("high", {}).get("value"))
    assert ends == (low, high) and found["text"] == limits


@pytest.mark.requirement("DX-HL7-03")
def test_an_order_without_results_is_listed_beside_those_with_some() -> None:
    cancelled = "OBR|2|P2^HIS|F2^LIS|GLU^葡萄糖^L|||||||||||||||||||||X"
    sent = oru(WBC, cancelled, "NTE|1||标本量不足")
    assert reasons(sent)["ORDER_WITHOUT_RESULTS"] == "OBR[2]"
    assert len(resources(sent, "ServiceRequest")) == 1


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("stated", "sex"), [("男", "male"), ("女", "female"), ("Female", "female")]
)
def test_a_sex_that_is_written_out_is_read(stated: str, sex: str) -> None:
    pid = PID.removesuffix("M") + stated
    assert resources(oru(pid=pid), "Patient")[0]["gender"] == sex
    assert "SEX_NOT_READ" not in reasons(oru(pid=pid))


@pytest.mark.requirement("DX-HL7-03")
def test_a_status_counts_in_small_letters_too() -> None:
    assert observation("OBX|1|NM|X^x^L||1|u|||||f")["status"] == "final"


@pytest.mark.requirement("DX-HL7-03")
def test_why_a_specimen_was_rejected_is_kept() -> None:
    spm = "SPM|1|S1||BLD" + "|" * 17 + "RH^Hemolysis^HL70490|||HEM^Hemolyzed^HL70493"
    (found,) = resources(oru(WBC, spm), "Specimen")
    assert found["status"] == "unsatisfactory"
    assert [each["text"] for each in found["condition"]] == ["Hemolyzed", "Hemolysis"]


@pytest.mark.requirement("DX-HL7-07")
def test_batches_are_counted_each_by_itself_and_a_cut_one_is_named() -> None:
    one, two = oru(head=msh("A")), oru(head=msh("B"))
    start = "BHS|^~\\&|LIS\r"
    whole = batch.messages(f"FHS|^~\\&\r{start}{one}BTS|1\r{start}{two}BTS|1\rFTS|2\r".encode())
    assert len(whole.messages) == 2 and not whole.asides.all()
    cut = batch.messages(f"{start}{one}BTS|1\r{start}{two}".encode())
    assert [each.reason for each in cut.asides.all()] == ["BATCH_NOT_ENDED"]
    short = batch.messages(f"{start}{one}BTS|1\r{start}{two}BTS|2\r".encode())
    assert [each.reason for each in short.asides.all()] == ["BATCH_COUNT"]


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_as_what_it_is(codec: str) -> None:
    assert refused(oru().encode(codec)) == "CHARSET_NOT_READ"


class Refuses:
    """Stands in for the admission: it fails in one way."""

    def __init__(self, error: MeshError) -> None:
        self.error = error

    async def submit(self, *_: Any, **__: Any) -> Any:
        raise self.error


async def answered(error: MeshError, content: str = "") -> bytes:
    async def hasher(_: str) -> Any:
        return names

    known = senders.read('[[sender]]\napplication = "LIS"\ntenant = "demo"\n')
    receiver = Receiver(Refuses(error), known, hasher, lambda: NOW, entries_max=99, at_once=1)
    return await receiver.answer((content or oru()).encode(), "127.0.0.1")


@pytest.mark.requirement("DX-HL7-05")
@pytest.mark.parametrize(
    "error",
    [
        Damaged("stored content is damaged"),
        MeshError("it went wrong"),
        RemoteError("x", reason="X", grpc_status="INTERNAL", facts={}),
        RemoteError("x", reason="X", grpc_status="UNAUTHENTICATED", facts={}),
    ],
)
async def test_a_fault_of_ours_never_tells_the_sender_to_correct_its_message(
    error: MeshError,
) -> None:
    assert b"\rMSA|AE|M1|" in await answered(error)


@pytest.mark.requirement("DX-HL7-05")
async def test_a_refusal_of_the_message_by_a_peer_is_lasting() -> None:
    error = RemoteError("x", reason="X", grpc_status="INVALID_ARGUMENT", facts={})
    assert b"\rMSA|AR|M1|" in await answered(error)


@pytest.mark.requirement("DX-HL7-05")
@pytest.mark.parametrize(
    ("when", "final", "verdict", "code"),
    [
        ("AL", "NE", "A", b"CA"),
        ("AL", "NE", "E", b"CE"),
        ("ER", "NE", "A", b""),
        ("ER", "NE", "R", b"CR"),
        ("SU", "NE", "A", b"CA"),
        ("SU", "NE", "R", b""),
        ("NE", "NE", "A", b""),
        ("NE", "NE", "R", b""),
        ("NE", "AL", "A", b"AA"),
        ("AL", "AL", "A", b"AA"),
        ("", "ER", "A", b""),
        ("", "ER", "E", b"AE"),
        ("", "SU", "E", b""),
        ("", "", "A", b"AA"),
    ],
)
def test_acknowledgments_are_sent_when_they_are_wanted(
    when: str, final: str, verdict: str, code: bytes
) -> None:
    """HL7 v2.9 2.9.3.1 and table 0155: AL always, NE never, ER on errors alone, SU on success."""
    head = header.of(oru(head=msh(f15=when, f16=final)).encode())
    assert (head.accept_when, head.answer_when) == (when, final)
    made = acknowledgement.build(head, verdict, [], "1", NOW)
    assert (b"\rMSA|" + code + b"|" in made) if code else made == b""
