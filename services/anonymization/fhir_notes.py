"""Clinical notes of a submission: found, decoded, named; not yet redacted.

A note is decoded or refused by name, never guessed into mojibake.

Source: FHIR R4 DocumentReference, Composition; GB 18030-2022.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.anonymization import codes
from services.kernel.errors import InvalidInput

Json = Any

NOTE_CHARS_MAX = 1_000_000
_TEXT_TYPES = frozenset(("text/plain", "text/html", "application/xhtml+xml", "text/xml", ""))
_MARKUP = frozenset(("text/html", "application/xhtml+xml", "text/xml"))
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.I)
_BLOCK = re.compile(r"<\s*(?:br|/p|/div|/li|/h[1-6]|/tr)\b[^<>]*>", re.I)
_TAG = re.compile(
    r"<(?:style|script)\b[^<>]*(?<!/)>.*?(?:</(?:style|script)\s*>|\Z)|<!--.*?(?:-->|\Z)"
    r"|<[a-z/!?][^<>]*>",
    re.S | re.I,
)
"""What is not text. "<3.5" is: a tag begins with a letter. A comment, style or script without
an end reaches to the end of the text (HTML Living Standard, 13.2.5)."""
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\x84\x31\x95\x33", "gb18030"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte-order marks and what they mean."""
_CODECS = {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "utf-8": "utf-8"}


class UnusableNote(InvalidInput):
    """A note that is not taken over; its reason says why."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note as submitted."""

    reference: str
    """`DocumentReference/…`, `Composition/…` or the entry's fullUrl."""
    kind: str
    """LOINC code of the document type; empty when there is none."""
    text: str


def notes(resource: Mapping[str, Json], reference: str) -> Iterator[Note | UnusableNote]:
    """Yield the notes in a DocumentReference or Composition, or why one is not usable."""
    kind = _loinc(resource.get("type"))
    if resource.get("resourceType") == "Composition":
        text = "\n\n".join(_sections(resource.get("section")))
        if len(text) > NOTE_CHARS_MAX:
            yield _too_long(text)
        elif text.strip():
            yield Note(reference, kind, text)
        return
    for content in resource.get("content") or ():
        attachment = content.get("attachment") if isinstance(content, Mapping) else None
        if not isinstance(attachment, Mapping):
            continue
        try:
            yield Note(reference, kind, decode(attachment))
        except UnusableNote as error:
            yield error


def decode(attachment: Mapping[str, Json]) -> str:
    """Return the text of an Attachment with inline data.

    Raises
    ------
    UnusableNote
        NOT_INLINE, NOT_TEXT, UNDECODABLE, EMPTY or TOO_LONG.
    """
    media, _, parameters = str(attachment.get("contentType") or "").partition(";")
    if media.strip().lower() not in _TEXT_TYPES:
        raise UnusableNote("a note is not text", reason="NOTE_NOT_TEXT")
    if not isinstance(attachment.get("data"), str):
        raise UnusableNote("a note is not in the submission", reason="NOTE_NOT_INLINE")
    try:
        content = base64.b64decode("".join(attachment["data"].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableNote("a note is not base64", reason="NOTE_UNDECODABLE") from error
    text = _decoded(content, parameters)
    if media.strip().lower() in _MARKUP:
        text = plain(text)
    text = _printable(text)
    if not text.strip():
        raise UnusableNote("a note is empty", reason="NOTE_EMPTY")
    if len(text) > NOTE_CHARS_MAX:
        raise _too_long(text)
    return text


def _too_long(text: str) -> UnusableNote:
    return UnusableNote("a note is too long", reason="NOTE_TOO_LONG", characters=str(len(text)))


def plain(markup: str) -> str:
    """Return the text of HTML or XHTML; blocks end lines."""
    return html.unescape(_TAG.sub("", _BLOCK.sub("\n", markup)))


def _decoded(content: bytes, parameters: str) -> str:
    stated = _CHARSET.search(parameters)
    candidates = [codec for mark, codec in _MARKS if content.startswith(mark)]
    if not candidates:
        name = stated[1].lower() if stated else ""
        candidates = [_CODECS.get(name, name)] if name else ["utf-8", "gb18030"]
    for codec in candidates:
        try:
            text = content.decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
        if _is_plausible(text):
            return text.lstrip("\ufeff")
    raise UnusableNote("a note is in no encoding that is read here", reason="NOTE_UNDECODABLE")


def _is_plausible(text: str) -> bool:
    """Tell whether a text is made of assigned characters; wrong encodings are not."""
    odd = sum(unicodedata.category(char) in ("Cn", "Co") or char == "\ufffd" for char in text)
    return odd == 0 and text.count("\0") * 10 <= len(text)


def _printable(text: str) -> str:
    """Return the text without control characters other than line ends and tabs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def _sections(sections: Json, depth: int = 0) -> Iterator[str]:
    if not isinstance(sections, list) or depth > 8:
        return
    for section in sections:
        if not isinstance(section, Mapping):
            continue
        title = section.get("title") if isinstance(section.get("title"), str) else ""
        narrative = section.get("text")
        div = narrative.get("div") if isinstance(narrative, Mapping) else ""
        body = plain(div).strip() if isinstance(div, str) else ""
        if body:
            yield f"{title}\n{_printable(body)}" if title else _printable(body)
        yield from _sections(section.get("section"), depth + 1)


def _loinc(concept: Json) -> str:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, Mapping) and coding.get("system") == "http://loinc.org":
            code = coding.get("code")
            if isinstance(code, str) and codes.is_loinc(code):
                return code
    return ""
