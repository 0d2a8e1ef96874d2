"""The messages of a file: one, several, or a batch (FHS, BHS, BTS, FTS). Pure.

Source: HL7 v2.9 2.10.3 (batch protocol).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.ingest.hl7v2.asides import Asides, Place

FRAMING = b"\x0b\x1c"
"""Block characters of MLLP: files of captured traffic have them."""
_LINES = re.compile(rb"\r\n|\r|\n")
_BATCH = (b"FHS", b"BHS", b"BTS", b"FTS")
_MARKS = (codecs.BOM_UTF8, b"\x841\x953")
_COUNT = re.compile(rb"BTS[^A-Za-z0-9](\d{1,9})")


@dataclass(frozen=True, slots=True)
class File:
    """What a file holds."""

    messages: Sequence[bytes]
    asides: Asides


def messages(content: bytes) -> File:
    """Return the messages of a file, in order; one that is no HL7 at all is returned as it is."""
    mark = next((each for each in _MARKS if content.startswith(each)), b"")
    found: list[list[bytes]] = []
    asides = Asides()
    begun, before = 0, 0
    """Line of a batch's header, 0: none is open; messages before it."""
    for number, line in enumerate(_LINES.split(content.translate(None, FRAMING)), 1):
        bare = line.removeprefix(mark) if mark else line
        if bare[:3] == b"MSH" and not bare[3:4].isalnum():
            found.append([bare])
        elif bare[:3] in _BATCH and not bare[3:4].isalnum():
            if bare[:3] == b"BHS":
                begun, before = number, len(found)
            elif bare[:3] == b"BTS":
                _count(bare, len(found) - before, number, asides)
                begun = 0
        elif found:
            found[-1].append(line)
        elif bare.strip():
            text = "a line before the first message was not read"
            asides.add(Place("line", number), "NOT_A_SEGMENT", text)
    if begun:
        text = "a batch has no trailer (BTS); the file may be cut off"
        asides.add(Place("line", begun), "BATCH_NOT_ENDED", text)
    if not found:
        return File([content], Asides())
    return File([mark + b"\r".join(lines) for lines in found], asides)


def _count(line: bytes, found: int, number: int, asides: Asides) -> None:
    """List a batch whose trailer states another number of messages."""
    stated = _COUNT.match(line)
    if stated and int(stated[1]) != found:
        text = "the batch states another number of messages than it has; some may be lost"
        asides.add(Place("line", number), "BATCH_COUNT", text)
