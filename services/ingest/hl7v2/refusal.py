"""A message that is not taken at all: why, where, and the code of HL7's own table. Pure.

Source: HL7 table 0357, Message Error Condition Codes.
"""

from __future__ import annotations

from services.ingest.hl7v2.asides import Place
from services.kernel.errors import InvalidInput

SEQUENCE, REQUIRED, DATA_TYPE, NOT_IN_TABLE, TOO_LONG = 100, 101, 102, 103, 104
MESSAGE_TYPE, EVENT, PROCESSING_ID, VERSION = 200, 201, 202, 203
UNKNOWN_KEY, DUPLICATE_KEY, INTERNAL = 204, 205, 207

MSH = Place("MSH")


class NotTaken(InvalidInput):
    """The message is refused for good; nothing of it is kept."""

    def __init__(self, message: str, *, reason: str, code: int, place: Place = MSH) -> None:
        super().__init__(message, reason=reason)
        self.code = code
        self.place = place
