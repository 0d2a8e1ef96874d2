"""What a message says of itself, read from its bytes before anything else is. Pure.

It has to be had of messages that are otherwise unreadable, as each gets an answer.

Source: HL7 v2.9 2.14.9 (MSH).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.ingest.hl7v2 import charset
from services.ingest.hl7v2.asides import Asides
from services.ingest.hl7v2.reader import Segment, Signs, read
from services.ingest.hl7v2.refusal import NotTaken

HEADER_BYTES_MAX = 8192
CONTROL_ID_CHARS_MAX = 199
"""2.14.9.10; what is longer is not echoed."""
_END = re.compile(rb"[\r\n]")
USUAL = Signs("|", "^", "~", "\\", "&")


@dataclass(frozen=True, slots=True)
class Header:
    """MSH of a message."""

    signs: Signs = USUAL
    application: str = ""
    """MSH-3.1, of the sender."""
    facility: str = ""
    receiver_application: str = ""
    receiver_facility: str = ""
    kind: str = ""
    """MSH-9.1, such as ORU."""
    event: str = ""
    control_id: str = ""
    """As it was written: it is echoed."""
    processing: str = ""
    version: str = ""
    accept_when: str = ""
    """MSH-15: when an accept acknowledgment is wanted."""
    answer_when: str = ""
    """MSH-16: when an application acknowledgment is wanted."""
    charset: str = ""
    """MSH-18, its first repetition."""
    codec: str = "ascii"
    """In which the header was read: its control id is echoed in the same bytes."""

    def answered_as(self, *, kept: bool) -> str:
        """Return what a sender wants to be told: A (application), C (accept), empty: nothing.

        Where both are wanted it is the application acknowledgment, as it says more.
        Source: HL7 v2.9 2.9.2 (without MSH-15 and MSH-16 always A), table 0155.
        """
        if not (self.accept_when or self.answer_when):
            return "A"
        told = {"": False, "NE": False, "ER": not kept, "SU": kept}
        if told.get(self.answer_when, True):
            return "A"
        return "C" if told.get(self.accept_when, True) else ""


def of(content: bytes) -> Header:
    """Return the header of a message; an empty one when it has none that can be read."""
    head = content[:HEADER_BYTES_MAX].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith(b"\x841\x953"):
        head = head[4:]
    line = _END.split(head, maxsplit=1)[0]
    for codec in ("utf-8", "gb18030", "iso8859-1"):
        try:
            text = line.decode(codec)
            segment = read(text, codec, Asides()).header
        except (UnicodeDecodeError, NotTaken):
            continue
        found = _header(segment)
        # The second byte of a Chinese character may look like a separator, so a header is taken
        # to be in that set only when it says so.
        if codec != "gb18030" or charset.codec_of(found.charset) in ("gb18030", ""):
            return found
    return Header()


def _header(msh: Segment) -> Header:
    control_id = msh.raw_of(10)
    safe = control_id.isprintable() and len(control_id) <= CONTROL_ID_CHARS_MAX
    return Header(
        signs=msh.message.signs,
        application=msh.text(3),
        facility=msh.text(4),
        receiver_application=msh.text(5),
        receiver_facility=msh.text(6),
        kind=msh.text(9),
        event=msh.text(9, 2),
        control_id=control_id if safe else "",
        processing=msh.text(11),
        version=msh.text(12),
        accept_when=msh.text(15),
        answer_when=msh.text(16),
        charset=msh.text(18),
        codec=msh.message.codec,
    )
