"""A notes part read into notes: id, language and text, or why a note is not read.

The document is what anonymization writes: `{"notes": [{"id", "language", "type", "text"}]}`.
One note that cannot be read does not keep the others from being read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.kernel import fhir
from services.kernel.errors import InvalidInput, MeshError, TooLarge

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
NOTE_CHARS_MAX = 1_000_000
NOTES_MAX = 200


@dataclass(frozen=True, slots=True)
class Note:
    """One note; `text` is what every span counts code points of."""

    note_id: str
    language: str
    """zh or en."""
    text: str
    refusal: MeshError | None = None
    """Why it is not read; then `text` is empty."""


def read(content: bytes) -> tuple[Note, ...]:
    """Return the notes of a part in their order.

    Raises
    ------
    InvalidInput
        Not JSON, or no list of notes, or more than `NOTES_MAX`.
    """
    document = fhir.parse(content)
    items = document.get("notes") if isinstance(document, Mapping) else None
    if not isinstance(items, list):
        raise InvalidInput("a notes part needs a list of notes", reason="NOT_A_NOTES_PART")
    if len(items) > NOTES_MAX:
        raise TooLarge(f"a notes part has at most {NOTES_MAX} notes", notes=str(len(items)))
    notes: dict[str, Note] = {}
    for number, item in enumerate(items, 1):
        note = _note(item, f"note-{number}", taken=notes)
        notes[note.note_id] = note
    return tuple(notes.values())


def _note(item: Any, fallback_id: str, taken: Mapping[str, Note]) -> Note:
    found = item if isinstance(item, Mapping) else {}
    own = found.get("id")
    note_id = own if isinstance(own, str) and own else fallback_id
    while note_id in taken:
        note_id += "-again"
    return note_of(found.get("text"), note_id, found.get("language"))


def note_of(text: Any, note_id: str = "note-1", stated: Any = None) -> Note:
    """Return a note of a text, refused where it is none, empty or too long."""
    language = stated if stated in ("zh", "en") else ""
    if not isinstance(text, str):
        error = InvalidInput("a note has no text", reason="NOTE_NOT_TEXT")
        return Note(note_id, language or "en", "", error)
    if len(text) > NOTE_CHARS_MAX:
        message = f"a note has more than {NOTE_CHARS_MAX} characters; send it in pieces"
        length = TooLarge(message, reason="NOTE_TOO_LONG", characters=str(len(text)))
        return Note(note_id, language or "en", "", length)
    if not text.strip():
        return Note(
            note_id, language or "en", "", InvalidInput("a note is empty", reason="NOTE_EMPTY")
        )
    return Note(note_id, language or language_of(text), text)


def language_of(text: str) -> str:
    """Return zh where at least one in ten letters is Chinese, else en."""
    if text.isascii():
        return "en"
    han = len(HAN.findall(text))
    return "zh" if han * 10 >= max(han + len(LATIN.findall(text)), 1) else "en"
