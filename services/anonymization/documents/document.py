"""A document in any form that notes come in, and its text.

The media type says which form it is; text that is plainly RTF or a CDA document is read as that,
because hospitals' systems label both as text/plain and text/xml.
"""

from __future__ import annotations

from dataclasses import replace

from services.anonymization.documents import cda, decoding, markup, rtf
from services.anonymization.documents.taken import Document, UnusableNote

CHARS_MAX = 1_000_000
BYTES_MAX = 32 << 20
"""RTF and CDA of this size may hold a text of `CHARS_MAX`."""
_PLAIN = frozenset(("text/plain", ""))
_HTML = frozenset(("text/html", "application/xhtml+xml"))
_XML = frozenset(("text/xml", "application/xml", "application/hl7-cda+xml", "application/cda+xml"))
_RTF = frozenset(("application/rtf", "text/rtf", "text/richtext", "application/x-rtf"))


def read(content: bytes, content_type: str) -> Document:
    """Return a document's text.

    Raises
    ------
    UnusableNote
        NOTE_NOT_TEXT, NOTE_UNDECODABLE, NOTE_NOT_XML, NOTE_EMPTY or NOTE_TOO_LONG.
    """
    media, _, parameters = content_type.partition(";")
    found = _read(content, media.strip().lower(), parameters)
    text = decoding.printable(found.text)
    if not text.strip():
        raise UnusableNote("a note is empty", reason="NOTE_EMPTY")
    if len(text) > CHARS_MAX:
        raise too_long(len(text))
    return replace(found, text=text)


def too_long(characters: int) -> UnusableNote:
    """Return why a text of so many characters is not read."""
    return UnusableNote("a note is too long", reason="NOTE_TOO_LONG", characters=str(characters))


def _read(content: bytes, media: str, parameters: str) -> Document:
    if media not in _PLAIN | _HTML | _XML | _RTF:
        raise UnusableNote("a note is not text", reason="NOTE_NOT_TEXT")
    if len(content) > BYTES_MAX:
        raise too_long(len(content))
    if media in _RTF or (media in _PLAIN and content.lstrip()[:5] == rtf.BEGINNING):
        return Document(rtf.plain(content))
    text = decoding.decoded(content, parameters)
    if media in _XML and cda.is_cda(text):
        return cda.read(text)
    return Document(text if media in _PLAIN else markup.plain(text))
