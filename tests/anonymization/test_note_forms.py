"""Notes come as RTF, HTML and CDA, in the submission's Binary too, and say what their text says."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.anonymization import submission
from services.anonymization.documents import document
from services.anonymization.documents.taken import UnusableNote
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel import fhir
from services.kernel.crypto import KeyedHash

CDA = """<?xml version="1.0" encoding="GB18030"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <code code="34117-2" codeSystem="2.16.840.1.113883.6.1"/>
  <recordTarget><patientRole><id extension="ZY00981234" root="1.2.3"/>
    <addr><city>青石镇</city></addr><telecom value="tel:13800001111"/>
    <patient><name>欧阳青禾</name><birthTime value="19800203"/></patient>
  </patientRole></recordTarget>
  <component><structuredBody>
    <component><section><title>主诉</title><text><paragraph>咳嗽3周，
      由欧阳青禾本人陈述，住青石镇。</paragraph></text></section></component>
    <component><section><title>化验</title><text><table><tbody>
      <tr><td>血钾</td><td>6.8</td></tr><tr><td>血钠</td><td>140</td></tr>
    </tbody></table></text>
      <component><section><title>过敏史</title><text><list>
        <item>青霉素<content revised="delete">无</content></item></list></text></section>
      </component>
      <entry><observation><participant><participantRole><playingEntity>
        <name>青霉素</name></playingEntity></participantRole></participant></observation></entry>
    </section></component>
  </structuredBody></component>
</ClinicalDocument>"""


def bytes_in(text: str, codec: str) -> str:
    return "".join(f"\\'{byte:02x}" for byte in text.encode(codec))


def rtf(body: str, head: str = "\\ansi\\ansicpg936\\deff0") -> bytes:
    fonts = "{\\fonttbl{\\f0\\fnil\\fcharset134 SimSun;}{\\f1\\fnil\\fcharset0 Arial;}}"
    return f"{{\\rtf1{head}{fonts}{body}}}".encode()


def text_of(content: bytes, content_type: str = "application/rtf") -> str:
    return document.read(content, content_type).text.strip()


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            rtf(bytes_in("主诉：咳嗽3周。", "gbk") + "\\par " + bytes_in("体温38.5", "gbk")),
            "主诉：咳嗽3周。\n体温38.5",
        ),
        (rtf("\\f0 \\u21683?\\u22013? \\f1 for 3 weeks"), "咳嗽 for 3 weeks"),
        (rtf("\\u-10179?\\u-8704?"), "😀"),
        (rtf("\\'83A \\'e9tat", "\\ansi\\ansicpg932").replace(b"134", b"128"), "ア 騁at"),
        (rtf("{\\b\\deleted no }fever {\\v hidden}\\strike no\\strike0  cough"), "fever   cough"),
        (rtf("\\{a\\} \\\\v b"), "{a} \\v b"),
        (rtf("咳嗽X周").replace(b"X", b"3"), "咳嗽3周"),
        (rtf("X").replace(b"X", "咳嗽3周".encode("gbk")), "咳嗽3周"),
        (rtf("\\trowd K\\cell 6.8\\cell\\row"), "K|6.8|"),
    ],
)
def test_rtf_says_what_its_reader_sees(content: bytes, text: str) -> None:
    assert text_of(content) == text
    assert text_of(content, "text/plain") == text


@pytest.mark.requirement("DX-ID-12")
def test_cells_of_a_table_stay_apart_and_struck_text_goes() -> None:
    markup = (
        b"<tr><td>K</td><td>6.8</td></tr><p><del>no</del> <s class=x>no</s> fever <small>!</small>"
    )
    assert text_of(markup, "text/html") == "K\t6.8\t\n  fever !"


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize("content_type", ["text/xml", "application/hl7-cda+xml"])
def test_cda_is_read_by_section(content_type: str) -> None:
    found = document.read(CDA.encode("gb18030"), content_type)
    assert found.kind == "34117-2"
    assert found.text == (
        "主诉\n咳嗽3周，\n由欧阳青禾本人陈述，住青石镇。\n\n化验\n血钾\t6.8\n血钠\t140\n\n过敏史\n青霉素"
    )


def bundle(*resources: dict[str, object], born: str = "1980-02-03") -> bytes:
    entries = [{"resource": {"resourceType": "Patient", "id": "p", "birthDate": born}}]
    entries += [{"resource": each} for each in resources]
    return fhir.dump({"resourceType": "Bundle", "entry": entries})


def by_binary(content: bytes, content_type: str) -> tuple[dict[str, object], dict[str, object]]:
    data = base64.b64encode(content).decode()
    attachment = {"contentType": content_type, "url": "Binary/b"}
    reference = {
        "resourceType": "DocumentReference",
        "id": "d",
        "content": [{"attachment": attachment}],
    }
    return reference, {
        "resourceType": "Binary",
        "id": "b",
        "contentType": content_type,
        "data": data,
    }


@pytest.mark.requirement("DX-ID-12")
def test_note_in_a_binary_of_the_submission_is_read_and_its_header_is_not_found_in_it() -> None:
    found = submission.read(bundle(*by_binary(CDA.encode("gb18030"), "text/xml")))
    assert [note.reference for note in found.notes] == ["DocumentReference/d"]
    pseudonyms = Pseudonyms(KeyedHash(b"k" * 32), "subject")
    content, _ = submission.notes_part(found, found.known, pseudonyms, {})
    text = content.decode()
    assert "咳嗽3周" in text
    assert "青霉素" in text
    assert "欧阳青禾" not in text
    assert "青石镇" not in text


@pytest.mark.requirement("DX-ID-12")
def test_document_of_somebody_else_is_refused() -> None:
    found = submission.read(
        bundle(*by_binary(CDA.encode("gb18030"), "text/xml"), born="1981-02-03")
    )
    assert not found.notes
    assert [each.reason for each in found.unusable] == ["NOTE_OF_ANOTHER_PATIENT"]


@pytest.mark.requirement("DX-ID-12")
def test_forms_of_one_document_are_one_note() -> None:
    contents = [
        {"attachment": {"contentType": media, "data": base64.b64encode(data).decode()}}
        for media, data in (
            ("text/plain", b"Cough for 3 weeks."),
            ("text/html", b"<p>Cough for 3 weeks."),
        )
    ]
    found = submission.read(
        bundle({"resourceType": "DocumentReference", "id": "d", "content": contents})
    )
    assert [note.text for note in found.notes] == ["Cough for 3 weeks."]


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("content", "media", "reason"),
    [
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'><a>", "text/xml", "NOTE_NOT_XML"),
        (
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><ClinicalDocument >&b;</ClinicalDocument>",
            "text/xml",
            "NOTE_NOT_XML",
        ),
        (
            b"<ClinicalDocument >" + b"<a>" * 70 + b"</a>" * 70 + b"</ClinicalDocument>",
            "text/xml",
            "NOTE_NOT_XML",
        ),
        (b"{\\rtf1\\ansi\\bin12 abcdefghijkl}", "text/rtf", "NOTE_UNDECODABLE"),
        (b"{\\rtf1\\ansi\\ansicpg936 \\'81}", "text/rtf", "NOTE_UNDECODABLE"),
        (b"{\\rtf1\\ansi }", "text/rtf", "NOTE_EMPTY"),
    ],
)
def test_document_that_cannot_be_read_is_refused_by_name(
    content: bytes, media: str, reason: str
) -> None:
    with pytest.raises(UnusableNote) as error:
        document.read(content, media)
    assert error.value.reason == reason


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize("media", ["text/rtf", "text/xml", "text/html"])
@given(data=st.data())
@settings(max_examples=60)
def test_broken_document_is_a_text_or_a_reason(media: str, data: st.DataObject) -> None:
    whole = {
        "text/rtf": rtf(bytes_in("主诉：咳嗽3周。", "gbk") + "\\par{\\v x}\\u21683?"),
        "text/xml": CDA.encode("gb18030"),
        "text/html": "<p>主诉<del>无</del><td>1</td>".encode(),
    }[media]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    put = data.draw(st.binary(max_size=8))
    try:
        text = document.read(whole[:start] + put + whole[end:], media).text
    except UnusableNote as error:
        assert error.reason.startswith("NOTE_")
    else:
        assert "\0" not in text


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    "seed", ["{", "}", "{\\v ", "\\'", "{\\pict", "\\strike ", "\\'81", "\\u1 "]
)
def test_rtf_made_to_be_slow_is_read_in_linear_time(seed: str) -> None:
    began = time.process_time()
    try:
        document.read(b"{\\rtf1 " + seed.encode() * (200_000 // len(seed)), "text/rtf")
    except UnusableNote as error:
        assert error.reason in ("NOTE_UNDECODABLE", "NOTE_EMPTY")
    assert time.process_time() - began < 5
