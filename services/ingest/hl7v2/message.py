"""One message from its bytes to the submission it makes. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime

from services.ingest.hl7v2 import charset, convert, reader
from services.ingest.hl7v2 import header as headers
from services.ingest.hl7v2.asides import Asides, Place
from services.ingest.hl7v2.convert import Names, Origin
from services.ingest.hl7v2.header import Header
from services.ingest.hl7v2.reader import Message
from services.ingest.hl7v2.refusal import (
    EVENT,
    MESSAGE_TYPE,
    PROCESSING_ID,
    REQUIRED,
    SEQUENCE,
    VERSION,
    NotTaken,
)
from services.ingest.hl7v2.site import Site
from services.ingest.results import HL7V2, Results
from services.kernel import fhir

BYTES_MAX = 16 << 20
TIME = 7
"""MSH-7 changes when a message is sent again; nothing else of it may."""


def results(
    content: bytes, site: Site, names: Names, now: datetime, entries_max: int = 5000
) -> Results:
    """Return the submission of a message.

    Raises
    ------
    NotTaken
        Nothing of it can be used; the reason says what to do.
    """
    header = headers.of(content)
    check(header, content)
    _check_processing(header, site)
    asides = Asides()
    decoded = charset.decode(content, header.charset, site.charset, asides)
    message = reader.read(decoded.text, decoded.codec, asides)
    digest = hashlib.sha256(content).hexdigest()
    made = convert.bundle(message, Origin(site, names, now, digest, entries_max))
    return Results(
        bundle=fhir.dump(made),
        original=content,
        media_type=HL7V2,
        digest=_said(message),
        name=("hl7v2", header.application, header.facility, header.control_id),
        problems=asides.problems(),
    )


def check(header: Header, content: bytes) -> None:
    """Refuse what is no ORU^R01 with a control id.

    Raises
    ------
    NotTaken
    """
    if not header.kind and charset.is_wide(content):
        raise charset.wide()
    if not header.kind and not content.lstrip(b"\xef\xbb\xbf\x84\x31\x95\x33 \r\n\t")[:3] == b"MSH":
        raise NotTaken("the content does not begin with MSH", reason="NOT_HL7", code=SEQUENCE)
    _check_kind(header.kind, header.event, header.version)
    if not header.control_id:
        raise NotTaken(
            "MSH-10 is empty, too long or not printable; each message needs a control id",
            reason="NO_CONTROL_ID",
            code=REQUIRED,
            place=Place("MSH", 1, 10),
        )


def _check_processing(header: Header, site: Site) -> None:
    if header.processing[:1] not in site.processing and header.processing:
        raise NotTaken(
            "messages with this MSH-11 are not taken from this sender",
            reason="PROCESSING_ID",
            code=PROCESSING_ID,
            place=Place("MSH", 1, 11),
        )


def _said(message: Message) -> str:
    """Return the SHA-256 of everything but the time at which it was sent."""
    kept = hashlib.sha256()
    for segment in message.segments:
        fields = list(segment.raw)
        if segment is message.header and len(fields) > TIME:
            fields[TIME] = ""
        kept.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
    return kept.hexdigest()


def _check_kind(kind: str, event: str, version: str) -> None:
    """Refuse what is no ORU^R01 of version 2.

    Raises
    ------
    NotTaken
    """
    if kind != "ORU":
        raise NotTaken(
            "only results are taken: ORU^R01",
            reason="MESSAGE_TYPE",
            code=MESSAGE_TYPE if kind else REQUIRED,
            place=Place("MSH", 1, 9),
        )
    if event not in ("R01", ""):
        raise NotTaken(
            "only ORU^R01 is taken", reason="EVENT", code=EVENT, place=Place("MSH", 1, 9)
        )
    if version and not version.startswith("2."):
        raise NotTaken(
            "only versions 2.x are taken",
            reason="VERSION",
            code=VERSION,
            place=Place("MSH", 1, 12),
        )
