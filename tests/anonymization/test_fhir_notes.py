"""Notes are decoded or refused by name, never mojibake."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anonymization.documents.document import CHARS_MAX
from services.anonymization.documents.markup import plain
from services.anonymization.documents.taken import UnusableNote
from services.anonymization.fhir_notes import Note, decode, notes

TEXT = "主诉：咳嗽3周。\n现病史：无发热。"


def attachment(content: bytes, media: str = "text/plain") -> dict[str, Any]:
    return {"contentType": media, "data": base64.b64encode(content).decode()}


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("content", "media"),
    [
        (TEXT.encode(), "text/plain"),
        (TEXT.encode("utf-8-sig"), "text/plain"),
        (TEXT.encode("gb18030"), "text/plain"),
        (TEXT.encode("gb18030"), "text/plain; charset=GB18030"),
        (TEXT.encode("gbk"), 'text/plain; charset="gb2312"'),
        (TEXT.encode("utf-16"), "text/plain"),
        (TEXT.replace("\n", "\r\n").encode(), ""),
        (TEXT.replace("周", "周\x07").encode(), "text/plain"),
        (f"<p>{TEXT.splitlines()[0]}</p>{TEXT.splitlines()[1]}".encode(), "text/html"),
    ],
)
def test_note_in_any_usual_encoding_is_read(content: bytes, media: str) -> None:
    assert decode(attachment(content, media), {}).text == TEXT


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("given_attachment", "reason"),
    [
        (attachment(b""), "NOTE_EMPTY"),
        (attachment(b" \n\t"), "NOTE_EMPTY"),
        (attachment(b"\xff\xff\xff\xff"), "NOTE_UNDECODABLE"),
        (attachment(TEXT.encode("gb18030"), "text/plain; charset=utf-8"), "NOTE_UNDECODABLE"),
        (attachment(b"%PDF-1.7", "application/pdf"), "NOTE_NOT_TEXT"),
        (attachment(b"a" * (CHARS_MAX + 1)), "NOTE_TOO_LONG"),
        ({"contentType": "text/plain", "data": "***"}, "NOTE_UNDECODABLE"),
        ({"contentType": "text/plain", "url": "https://x"}, "NOTE_NOT_INLINE"),
    ],
)
def test_unusable_note_is_refused_by_name(given_attachment: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableNote) as error:
        decode(given_attachment, {})
    assert error.value.reason == reason


def test_composition_is_read_by_section() -> None:
    sections = [
        {"title": "主诉", "text": {"div": "<div>咳嗽<br/>3周 &amp; 发热</div>"}},
        {"title": "过敏史", "section": [{"text": {"div": "<div>青霉素</div>"}}]},
    ]
    (note,) = notes({"resourceType": "Composition", "section": sections}, "Composition/1")
    assert note == Note("Composition/1", "", "主诉\n咳嗽\n3周 & 发热\n\n青霉素")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_a_reason(content: bytes) -> None:
    try:
        text = decode(attachment(content), {}).text
    except UnusableNote as error:
        assert error.reason.startswith("NOTE_")
    else:
        assert "\ufffd" not in text
        assert "\0" not in text


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize("seed", ["<", "<!--", "<style>", "<script ", "<br", "< "])
def test_markup_made_to_be_slow_is_read_in_linear_time(seed: str) -> None:
    began = time.process_time()
    plain(seed * (300_000 // len(seed)))
    assert time.process_time() - began < 5


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>WBC <3.5, RBC >4</p>", "WBC <3.5, RBC >4\n"),
        ("血糖<3.9mmol/L，血压>140", "血糖<3.9mmol/L，血压>140"),
        ("a<style>p{}</style>b<script/>c<!-- d -->e", "abce"),
        ("a<!-- never closed <b>", "a"),
    ],
)
def test_markup_goes_and_what_only_looks_like_it_stays(markup: str, text: str) -> None:
    assert plain(markup) == text


@pytest.mark.requirement("DX-ID-12")
def test_composition_over_the_limit_is_refused_by_name() -> None:
    section = {"text": {"div": "a" * (CHARS_MAX // 2 + 1)}}
    resource = {"resourceType": "Composition", "section": [section, section]}
    (found,) = notes(resource, "Composition/1")
    assert isinstance(found, UnusableNote)
    assert found.reason == "NOTE_TOO_LONG"
