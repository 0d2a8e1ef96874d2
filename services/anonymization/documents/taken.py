"""What is taken of a document, or why it is not."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.anonymization.known import KnownStrings
from services.kernel.errors import InvalidInput


class UnusableNote(InvalidInput):
    """A note that is not taken over; its reason says why."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is taken of one document."""

    text: str
    kind: str = ""
    """LOINC code of the document type, where the document says one itself."""
    birth_date: str = ""
    """YYYYMMDD of the person it is about, where the document says it itself."""
    known: KnownStrings = field(default_factory=KnownStrings)
    """Whom it names outside of its text."""
