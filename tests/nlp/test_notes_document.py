"""The notes part: what anonymization writes is read; what cannot be read is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidInput
from services.nlp import notes
from services.nlp.findings import findings

pytestmark = pytest.mark.requirement("DX-NLP-01")


def document(*items: Any) -> bytes:
    return json.dumps({"subject": {}, "notes": list(items)}).encode()


def note(text: Any, note_id: str = "note-1", language: str = "en") -> dict[str, Any]:
    return {"id": note_id, "language": language, "type": "34117-2", "text": text}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (note(""), "NOTE_EMPTY"),
        (note(" \n\t"), "NOTE_EMPTY"),
        (note(None), "NOTE_NOT_TEXT"),
        ("text", "NOTE_NOT_TEXT"),
        (note("a" * (notes.NOTE_CHARS_MAX + 1)), "NOTE_TOO_LONG"),
    ],
)
def test_note_that_cannot_be_read_leaves_the_others(item: Any, reason: str) -> None:
    content = document(item, note("Cough for 3 days.", "note-2"))
    refused, read = findings(notes.read(content), "en").notes
    assert (refused.refusal.reason, refused.text) == (reason, "")
    assert (read.note_id, read.HasField("refusal")) == ("note-2", False)
    assert [e.text for e in findings(notes.read(content), "en").entities] == ["Cough"]


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"notes": {}}', b"\xff", b'{"notes": [' + b"1," * 200 + b"1]}"]
)
def test_document_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        notes.read(content)


def test_language_is_the_stated_one_else_that_of_the_text() -> None:
    read = notes.read(
        document(note("咳嗽", "a", "en"), note("咳嗽", "b", ""), note("cough", "c", ""))
    )
    assert [each.language for each in read] == ["en", "zh", "en"]


def test_notes_with_one_id_are_told_apart() -> None:
    read = notes.read(document(note("cough"), note("fever"), {"text": "pain"}))
    assert len({each.note_id for each in read}) == 3


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(InvalidInput):
        notes.read(b'{"notes": [{"id": "n", "text": "\\ud800 cough"}]}')


KEYS = st.sampled_from(("notes", "id", "text", "language"))
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        findings(notes.read(json.dumps(value).encode()), "zh")
    except InvalidInput as error:
        assert error.reason
