"""HL7 v2 as text: characters, delimiters, escapes, headers; whatever comes, nothing crashes."""

from __future__ import annotations

import time

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.hl7v2 import batch, charset, header, reader
from services.ingest.hl7v2.asides import Asides
from services.ingest.hl7v2.escapes import unescape
from services.ingest.hl7v2.refusal import NotTaken
from services.ingest.hl7v2.site import Site
from tests.ingest.oru import OBR, PID, WBC, msh, observation, oru, reasons, refused, resources

NOTE = "OBX|1|ST|GLU^葡萄糖^L||阴性||||||F"
SIGNS = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "P": "#"}


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize(
    ("stated", "codec"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("UNICODE", "utf-8"),
        ("GB 18030-2000", "gb18030"),
        ("GB18030", "gb18030"),
    ],
)
def test_the_stated_character_set_is_read(stated: str, codec: str) -> None:
    sent = oru(NOTE, head=msh(charset=stated)).encode(codec)
    (patient,) = resources(sent, "Patient")
    assert patient["name"] == [{"family": "赵", "given": ["铁柱"]}]
    (result,) = resources(sent, "Observation")
    assert result["valueString"] == "阴性"


@pytest.mark.requirement("DX-HL7-02")
def test_latin_letters_are_read() -> None:
    pid = PID.replace("赵^铁柱", "Müller^René")
    sent = oru(WBC, head=msh(charset="8859/1"), pid=pid, obr=OBR.replace("血常规", "CBC"))
    (patient,) = resources(sent.encode("latin-1"), "Patient")
    assert patient["name"] == [{"family": "Müller", "given": ["René"]}]


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize(
    ("stated", "codec", "reason"),
    [
        ("UNICODE UTF-8", "gb18030", "CHARSET_DOES_NOT_FIT"),
        ("ASCII", "utf-8", "CHARSET_DOES_NOT_FIT"),
        ("8859/1", "utf-8", "CHARSET_DOES_NOT_FIT"),
        ("8859/1", "gb18030", "CHARSET_DOES_NOT_FIT"),
        ("ISO IR87", "utf-8", "CHARSET_NOT_READ"),
        ("", "gb18030", "CHARSET_NOT_STATED"),
        ("UNICODE UTF-8", "utf-16", "CHARSET_NOT_READ"),
    ],
)
def test_a_wrong_character_set_is_refused_not_guessed(stated: str, codec: str, reason: str) -> None:
    pid = PID.replace("赵^铁柱", "赵^铁柱，住院患者")
    sent = oru(NOTE, head=msh(charset=stated), pid=pid).encode(codec)
    assert refused(sent) in (reason, "NOT_HL7")


@pytest.mark.requirement("DX-HL7-02")
def test_a_sender_that_states_nothing_is_read_as_its_table_says() -> None:
    sent = oru(NOTE, head=msh(charset="")).encode("gb18030")
    (result,) = resources(sent, "Observation", Site(charset="GB 18030-2000"))
    assert result["valueString"] == "阴性"


@pytest.mark.requirement("DX-HL7-02")
def test_utf_8_without_a_statement_is_read_and_listed() -> None:
    assert "CHARSET_NOT_STATED" in reasons(oru(NOTE, head=msh(charset="")))


@pytest.mark.requirement("DX-HL7-02")
def test_a_byte_order_mark_goes_before_what_the_header_states() -> None:
    sent = b"\xef\xbb\xbf" + oru(NOTE, head=msh(charset="8859/1")).encode()
    assert resources(sent, "Observation")[0]["valueString"] == "阴性"
    assert reasons(sent)["CHARSET_CONTRADICTED"] == "MSH[1]-18"
    assert header.of(sent).control_id == "M1"


@pytest.mark.requirement("DX-HL7-02")
def test_a_chinese_character_may_hold_a_separator() -> None:
    # The second byte of 鉢 in GB 18030 is 0x7C, that of others 0x5E, 0x7E or 0x5C.
    for name in ("鉢", "鉤", "鉬"):
        assert any(byte in b"|^~\\" for byte in name.encode("gb18030")) or name
        head = msh(charset="GB18030", f4=name)
        sent = oru(NOTE, head=head).encode("gb18030")
        assert header.of(sent).facility == name
        assert resources(sent, "Observation")[0]["valueString"] == "阴性"


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\n\r\n"])
def test_lines_may_end_as_they_like(end: str) -> None:
    assert observation() == resources(oru().replace("\r", end), "Observation")[0] | {
        "id": observation()["id"],
        "basedOn": observation()["basedOn"],
    }


@pytest.mark.requirement("DX-HL7-02")
def test_null_bytes_are_left_out_and_listed() -> None:
    sent = oru("OBX|1|ST|X^x||a\x00b||||||F")
    assert resources(sent, "Observation")[0]["valueString"] == "ab"
    assert "CONTROL_CHARACTERS" in reasons(sent)


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"\H\high\N\ ", "high "),
        (r"\X41\\X4243\ ", "ABC "),
        (r"\XE998B3\ ", "阳 "),
        (r"C:\lab\x", r"C:\lab\x"),
        (r"ends in \ ", r"ends in \ "),
        (r"\X4\ ", r"\X4\ "),
    ],
)
def test_escapes_mean_what_the_standard_says(written: str, meant: str) -> None:
    assert unescape(written, SIGNS, "\\", "utf-8", lambda: None) == meant


@pytest.mark.requirement("DX-HL7-02")
def test_an_escape_that_is_not_understood_stays_and_is_listed() -> None:
    sent = oru(r"OBX|1|ST|X^x||5 \Zmu\ g||||||F")
    assert resources(sent, "Observation")[0]["valueString"] == r"5 \Zmu\ g"
    assert reasons(sent)["ESCAPE_NOT_READ"] == "OBX[1]-5"


@pytest.mark.requirement("DX-HL7-02")
def test_own_delimiters_are_honoured() -> None:
    sent = oru().translate(str.maketrans("|^~\\&", "#@*!%"))
    (patient,) = resources(sent, "Patient")
    assert patient["name"] == [{"family": "赵", "given": ["铁柱"]}]


@pytest.mark.requirement("DX-HL7-02")
def test_a_text_broken_over_lines_goes_on_and_other_loose_lines_are_listed() -> None:
    broken = oru("OBX|1|TX|X^x||no sign\nof malaria||||||F", "garbage", WBC)
    found = resources(broken, "Observation")
    assert found[0]["valueString"] == "no sign\nof malaria" and found[0]["status"] == "final"
    assert reasons(broken)["NOT_A_SEGMENT"].startswith("line[")


@pytest.mark.requirement("DX-HL7-02")
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 50, b"MSH", b"MSH|", b"MSH|^~", b"MSH||||||", b"MSHAAAAAAAAA", b"hello"],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    assert refused(content) in ("NOT_HL7", "BAD_DELIMITERS", "MESSAGE_TYPE")


@pytest.mark.requirement("DX-HL7-02")
def test_large_and_hostile_messages_take_linear_time() -> None:
    head = f"{msh()}\r{PID}\r{OBR}\r"
    began = time.process_time()
    for bad in ("OBX|" + "^~&|" * 500_000, "OBX|1|ST|X^x||" + "\\" * 2_000_000 + "||||||F"):
        try:
            resources(head + bad, "Observation")
        except NotTaken as error:
            assert error.reason == "NO_RESULTS"
    assert refused(head + "OBX|1|NM|X^x||1\r" * 50_000) == "TOO_MANY_RESULTS"
    assert time.process_time() - began < 20


@pytest.mark.requirement("DX-HL7-02")
def test_a_batch_and_captured_traffic_are_split_into_their_messages() -> None:
    one, two = oru(head=msh("A")), oru(head=msh("B"))
    text = f"\ufeffFHS|^~\\&|LIS\rBHS|^~\\&|LIS\r{one}\x1c\r\x0b{two}BTS|3\rFTS|1\r"
    found = batch.messages(text.encode())
    assert [header.of(each).control_id for each in found.messages] == ["A", "B"]
    assert [each.reason for each in found.asides.all()] == ["BATCH_COUNT"]


field_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)


@pytest.mark.requirement("DX-HL7-02")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(field_text, min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_is_written_is_read_back(fields: list[list[str]]) -> None:
    """A segment of escaped components says the same again, to us and to another reader."""

    def escaped(text: str) -> str:
        pairs = {sign: f"\\{letter}\\" for letter, sign in SIGNS.items() if letter != "P"}
        return "".join(pairs.get(char, char) for char in text)

    line = "|".join(["ZZZ", *("^".join(escaped(c) for c in each) for each in fields)])
    asides = Asides()
    message = reader.read(f"{msh()}\r{line}\r", "utf-8", asides)
    (segment,) = message.named("ZZZ")
    for number, components in enumerate(fields, 1):
        for place, text in enumerate(components, 1):
            assert segment.text(number, place) == ("" if text == '""' else text.strip())
    theirs = hl7.parse(f"{msh()}\r{line}\r").segment("ZZZ")
    for number, components in enumerate(fields, 1):
        raw = "^".join(escaped(c) for c in components)
        assert str(theirs[number]).strip() == raw.strip()
    assert not asides.all()


@pytest.mark.requirement("DX-HL7-02")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_spoilt_message_is_read_or_refused_with_a_reason(data: st.DataObject) -> None:
    sent = bytearray(oru(WBC, "NTE|1||溶血", NOTE, "SPM|1|S1||BLD").encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(sent) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                sent[at] = data.draw(st.sampled_from(b"|^~\\&\r\n\x00\xff0AX\x0b"))
            case 1:
                del sent[at : at + data.draw(st.integers(1, 40))]
            case 2:
                sent[at:at] = data.draw(st.binary(max_size=8))
            case _:
                sent[at:at] = sent[: data.draw(st.integers(0, 60))]
        sent = sent or bytearray(b"x")
    refused(bytes(sent))


@pytest.mark.requirement("DX-HL7-02")
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", "UNICODE UTF-8", "GB18030", "8859/1", "x"]))
def test_any_bytes_are_decoded_or_refused(content: bytes, stated: str) -> None:
    try:
        charset.decode(content, stated, "", Asides())
    except NotTaken as error:
        assert error.reason.startswith("CHARSET")
    header.of(content)
    batch.messages(content)
