"""The answer to a message: MSH, MSA and an ERR for each thing that is told. Pure.

AA stands for "it is kept", AE for "try again later", AR for "correct it first"; CA, CE and CR
where the sender wants an accept acknowledgment alone. An ERR names a place, a reason and what to
do, and holds nothing of the message.

Source: HL7 v2.9 2.9 (acknowledgment), 2.14.5 (ERR), 2.14.8 (MSA); tables 0008, 0357, 0516.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.ingest.hl7v2.asides import Place
from services.ingest.hl7v2.header import Header
from services.ingest.hl7v2.reader import Signs

ACCEPTED, FAILED, REFUSED = "A", "E", "R"
ERROR, WARNING = "E", "W"
TOLD_MAX = 20
"""ERR segments of one answer; the case's Task has them all."""
CONDITIONS = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    104: "Value too long",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application error",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that a sender is told."""

    place: Place
    condition: int
    """Of table 0357."""
    reason: str
    message: str
    severity: str = ERROR


def build(header: Header, verdict: str, told: Sequence[Told], own_id: str, now: datetime) -> bytes:
    """Return the answer to a message with this header, in its own delimiters and characters.

    Empty when the sender wants none of this verdict.
    """
    signs, mode = header.signs, header.answered_as(kept=verdict == ACCEPTED)
    if not mode:
        return b""
    code = mode + verdict
    first = told[0] if told and verdict != ACCEPTED else None
    said = escaped(f"{first.reason}: {first.message}", signs) if first else ""
    lines = [
        _header(header, own_id, now),
        signs.field.join(["MSA", code, header.control_id, said]).rstrip(signs.field),
        *(_error(each, signs) for each in told[:TOLD_MAX]),
    ]
    text = "".join(f"{line}\r" for line in lines)
    return text.encode(header.codec, "replace")


def escaped(text: str, signs: Signs) -> str:
    """Return a text in which no delimiter stands for itself; it stays one line."""
    escape = signs.escape
    letters = {sign: f"{escape}{letter}{escape}" for letter, sign in signs.letters.items()}
    letters |= {"\r": " ", "\n": " ", signs.truncation: signs.truncation}
    return "".join(letters.get(char, char) for char in text)


def _header(header: Header, own_id: str, now: datetime) -> str:
    signs = header.signs
    component = signs.component
    encoding = component + signs.repetition + signs.escape + signs.sub
    fields = [
        "MSH",
        encoding,
        escaped(header.receiver_application, signs),
        escaped(header.receiver_facility, signs),
        escaped(header.application, signs),
        escaped(header.facility, signs),
        now.strftime("%Y%m%d%H%M%S+0000"),
        "",
        component.join(["ACK", header.event, "ACK"] if header.event else ["ACK"]),
        own_id,
        escaped(header.processing, signs) or "P",
        escaped(header.version, signs) or "2.5.1",
        *[""] * 5,
        escaped(header.charset, signs),
    ]
    return signs.field.join(fields).rstrip(signs.field)


def _error(told: Told, signs: Signs) -> str:
    component, place = signs.component, told.place
    where = [place.segment, str(place.sequence)] + ([str(place.field)] if place.field else [])
    condition = [str(told.condition), CONDITIONS[told.condition], "HL70357"]
    reason = [told.reason, "", "urn:dxmesh:reason"]
    fields = [
        "ERR",
        "",
        component.join(where),
        component.join(condition),
        told.severity,
        component.join(escaped(each, signs) for each in reason),
        "",
        "",
        escaped(told.message, signs),
    ]
    return signs.field.join(fields)
