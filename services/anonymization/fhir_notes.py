"""Clinical notes of a submission: found, decoded, named; not yet redacted.

A note is decoded or refused by name, never guessed into mojibake.

Source: FHIR R4 DocumentReference, Composition, Binary.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.anonymization import codes
from services.anonymization.documents import decoding, document, markup
from services.anonymization.documents.taken import Document, UnusableNote
from services.anonymization.known import KnownStrings

Json = Any
Binaries = Mapping[str, Mapping[str, Json]]
"""The Bundle's Binary resources, by each reference that may name them."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note as submitted."""

    reference: str
    """`DocumentReference/…`, `Composition/…` or the entry's fullUrl."""
    kind: str
    """LOINC code of the document type; empty when there is none."""
    text: str
    birth_date: str = ""
    """YYYYMMDD of whom the document itself says it is about; empty when it does not say."""
    known: KnownStrings = field(default_factory=KnownStrings)
    """Whom the document names outside of its text."""


def notes(
    resource: Mapping[str, Json], reference: str, binaries: Binaries | None = None
) -> Iterator[Note | UnusableNote]:
    """Yield the notes in a DocumentReference or Composition, or why one is not usable.

    The contents of a DocumentReference are forms of one document (R4): of forms with the same
    text one is taken.
    """
    kind = _loinc(resource.get("type"))
    if resource.get("resourceType") == "Composition":
        text = "\n\n".join(_sections(resource.get("section")))
        if len(text) > document.CHARS_MAX:
            yield document.too_long(len(text))
        elif text.strip():
            yield Note(reference, kind, text)
        return
    taken: set[str] = set()
    for content in resource.get("content") or ():
        attachment = content.get("attachment") if isinstance(content, Mapping) else None
        if not isinstance(attachment, Mapping):
            continue
        try:
            found = decode(attachment, binaries or {})
        except UnusableNote as error:
            yield error
            continue
        words = "".join(found.text.split())
        if words not in taken:
            yield Note(reference, kind or found.kind, found.text, found.birth_date, found.known)
        taken.add(words)


def decode(attachment: Mapping[str, Json], binaries: Binaries) -> Document:
    """Return the document in an Attachment, inline or in a Binary of the same Bundle.

    Raises
    ------
    UnusableNote
        NOTE_NOT_INLINE, NOTE_NOT_TEXT, NOTE_UNDECODABLE, NOTE_NOT_XML, NOTE_EMPTY or NOTE_TOO_LONG.
    """
    binary = binaries.get(str(attachment.get("url") or ""), {})
    data = attachment["data"] if "data" in attachment else binary.get("data")
    content_type = str(attachment.get("contentType") or binary.get("contentType") or "")
    if not isinstance(data, str):
        raise UnusableNote("a note is not in the submission", reason="NOTE_NOT_INLINE")
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableNote("a note is not base64", reason="NOTE_UNDECODABLE") from error
    return document.read(content, content_type)


def _sections(sections: Json, depth: int = 0) -> Iterator[str]:
    if not isinstance(sections, list) or depth > 8:
        return
    for section in sections:
        if not isinstance(section, Mapping):
            continue
        title = section.get("title") if isinstance(section.get("title"), str) else ""
        narrative = section.get("text")
        div = narrative.get("div") if isinstance(narrative, Mapping) else ""
        body = decoding.printable(markup.plain(div)).strip() if isinstance(div, str) else ""
        if body:
            yield f"{title}\n{body}" if title else body
        yield from _sections(section.get("section"), depth + 1)


def _loinc(concept: Json) -> str:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, Mapping) and coding.get("system") == "http://loinc.org":
            code = coding.get("code")
            if isinstance(code, str) and codes.is_loinc(code):
                return code
    return ""
