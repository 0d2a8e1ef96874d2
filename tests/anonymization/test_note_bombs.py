"""Documents made to exhaust or confuse whoever reads them: each is read or refused, quickly."""

from __future__ import annotations

import time

import pytest

from services.anonymization.documents import document
from services.anonymization.documents.taken import UnusableNote

CDA = (
    b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section>'
    b"<title>t</title><text>%s</text></section></component></structuredBody></component>"
    b"</ClinicalDocument>"
)
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
FOREIGN = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


def read(content: bytes, kind: str) -> str:
    """Return the text of a document, or why there is none."""
    try:
        return document.read(content, kind).text
    except UnusableNote as error:
        return error.reason


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize("name", ["undefined", "idna", "punycode", "utf-7", "unicode_escape", "x"])
def test_what_is_no_character_set_is_not_decoded(name: str) -> None:
    assert read(b"potassium 6.8", f"text/plain; charset={name}") == "NOTE_UNDECODABLE"
    declared = b'<?xml version="1.0" encoding="%s"?>' % name.encode() + CDA % b"x"
    assert read(declared, "text/xml") == "NOTE_UNDECODABLE"


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("name", "codec"),
    [("GBK", "gbk"), ("utf-16", "utf-16"), ("Big5", "big5"), ("UTF-8", "utf-8")],
)
def test_character_sets_of_hospitals_are_read(name: str, codec: str) -> None:
    assert read("血鉀".encode(codec), f"text/plain; charset={name}") == "血鉀"


@pytest.mark.requirement("DX-ID-12")
@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (LAUGHS + CDA % b"&b;", "text/xml", "NOTE_NOT_XML"),
        (FOREIGN + CDA % b"&a;", "text/xml", "NOTE_NOT_XML"),
        (CDA % (b"<list><item>" * 20_000 + b"</item></list>" * 20_000), "text/xml", "NOTE_NOT_XML"),
        (b"{\\rtf1 " + b"{" * 200_000 + b"x" + b"}" * 200_000 + b"}", "", "NOTE_UNDECODABLE"),
        (b"{\\rtf1 a{\\pict\\pngblip " + b"ab01\n" * 800_000 + b"} b}", "application/rtf", "a b"),
        (b'<img src="data:image/png;base64,' + b"A" * 2_000_000 + b'">x', "text/html", "x"),
        (b"<div>" * 100_000 + b"x", "text/html", "x"),
        (b"<del>" * 100_000 + b"x", "text/html", "NOTE_EMPTY"),
    ],
)
def test_bombs_are_read_or_refused_in_little_time(content: bytes, kind: str, said: str) -> None:
    began = time.process_time()
    assert read(content, kind) == said
    assert time.process_time() - began < 2
