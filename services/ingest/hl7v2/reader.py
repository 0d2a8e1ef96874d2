"""A message's segments, fields, repetitions and components. Pure; linear in its length.

Nothing is taken apart before it is asked for, so a message of 10 MB costs one split.

Source: HL7 v2.9 2.5 (message construction), 2.14.9 (MSH).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.ingest.hl7v2.asides import Asides, Place
from services.ingest.hl7v2.escapes import unescape
from services.ingest.hl7v2.refusal import DATA_TYPE, SEQUENCE, NotTaken

NULL = '""'
"""An explicit null: the sender says that there is no value."""
HEADERS = frozenset(("MSH", "FHS", "BHS"))
"""Segments whose first field is the separator itself."""
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINES = re.compile(r"\r\n|\r|\n")
_LAST_TEXT = {"OBX": 5, "NTE": 3}
"""Fields of free text: a line that breaks within one goes on with it."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The delimiters of a message."""

    field: str
    component: str
    repetition: str
    escape: str
    sub: str
    truncation: str = "#"

    @property
    def letters(self) -> dict[str, str]:
        """Escape letter → what it stands for."""
        named = {"F": self.field, "S": self.component, "T": self.sub, "R": self.repetition}
        return named | {"E": self.escape, "P": self.truncation}


def signs_of(line: str) -> Signs:
    """Return the delimiters that a header line states.

    Raises
    ------
    NotTaken
        NOT_HL7, BAD_DELIMITERS.
    """
    if line[:3] not in HEADERS or len(line) < 8:
        raise NotTaken("the content does not begin with MSH", reason="NOT_HL7", code=SEQUENCE)
    separator = line[3]
    stated = line[4:].split(separator, 1)[0]
    found = separator + stated
    distinct = len(set(found)) == len(found)
    if not 3 <= len(stated) <= 5 or not distinct or any(c.isalnum() or c.isspace() for c in found):
        raise NotTaken(
            "MSH-1 and MSH-2 are not delimiters; usual are | and ^~\\&",
            reason="BAD_DELIMITERS",
            code=DATA_TYPE,
            place=Place("MSH", 1, 2),
        )
    padded = stated + "&#"[len(stated) - 3 :] if len(stated) < 5 else stated
    return Signs(separator, *padded[:5])


class Part:
    """A field's repetition: components, which have subcomponents."""

    __slots__ = ("_message", "_place", "_raw")

    def __init__(self, raw: str, message: Message, place: Place) -> None:
        self._raw = raw
        self._message = message
        self._place = place

    def __bool__(self) -> bool:
        return bool(self._raw) and self._raw != NULL

    def text(self, component: int = 1, sub: int = 1) -> str:
        """Return a component's text without escapes; empty: none, or an explicit null."""
        return self._plain(self._piece(component, sub))

    def whole(self) -> str:
        """Return the repetition as one text, whatever delimiters are in it."""
        return self._plain(self._raw)

    def texts(self, component: int) -> list[str]:
        """Return the subcomponents of a component."""
        parts = self._raw.split(self._message.signs.component, component)
        if len(parts) < component:
            return []
        return [self._plain(each) for each in parts[component - 1].split(self._message.signs.sub)]

    def _piece(self, component: int, sub: int) -> str:
        parts = self._raw.split(self._message.signs.component, component)
        if len(parts) < component:
            return ""
        subs = parts[component - 1].split(self._message.signs.sub, sub)
        return subs[sub - 1] if len(subs) >= sub else ""

    def _plain(self, raw: str) -> str:
        if not raw or raw == NULL:
            return ""
        return self._message.unescaped(raw, self._place).strip()


@dataclass(slots=True)
class Segment:
    """One segment; `raw[n]` is field n."""

    name: str
    raw: list[str]
    place: Place
    message: Message

    def at(self, number: int) -> Place:
        """Return where a field stands."""
        return Place(self.place.segment, self.place.sequence, number)

    def raw_of(self, number: int) -> str:
        """Return a field as it was written."""
        return self.raw[number] if 0 < number < len(self.raw) else ""

    def parts(self, number: int) -> list[Part]:
        """Return a field's repetitions that are not empty."""
        raw = self.raw_of(number)
        if not raw:
            return []
        split = raw.split(self.message.signs.repetition)
        found = [Part(each, self.message, self.at(number)) for each in split]
        return [each for each in found if each]

    def whole(self, number: int) -> str:
        """Return a field that does not repeat as one text, whatever delimiters are in it."""
        return Part(self.raw_of(number), self.message, self.at(number)).whole()

    def part(self, number: int) -> Part:
        """Return a field's first repetition, empty when there is none."""
        raw = self.raw_of(number).split(self.message.signs.repetition, 1)[0]
        return Part(raw, self.message, self.at(number))

    def text(self, number: int, component: int = 1, sub: int = 1) -> str:
        """Return the text of a component of a field's first repetition."""
        return self.part(number).text(component, sub)


@dataclass(slots=True)
class Message:
    """A message, its segments in order."""

    signs: Signs
    codec: str
    asides: Asides
    segments: list[Segment] = field(default_factory=list)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def named(self, name: str) -> Iterator[Segment]:
        """Yield the segments of a name."""
        return (each for each in self.segments if each.name == name)

    def unescaped(self, raw: str, place: Place) -> str:
        """Return a text without its escapes; lists those that are not understood."""

        def unknown() -> None:
            text = "an escape sequence is not understood and stays as it was written"
            self.asides.add(place, "ESCAPE_NOT_READ", text)

        return unescape(raw, self.signs.letters, self.signs.escape, self.codec, unknown)


def read(text: str, codec: str, asides: Asides) -> Message:
    """Return the message in a text; lines may end in CR, LF or both.

    Raises
    ------
    NotTaken
        It has no usable MSH, or a second one.
    """
    lines = _LINES.split(text)
    signs = signs_of(lines[0])
    message = Message(signs, codec, asides)
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = line[:3]
        if not _NAME.fullmatch(name) or line[3:4] not in ("", signs.field):
            _continue(message, line, number)
            continue
        if name in HEADERS and seen[name]:
            raise NotTaken(
                "a second MSH within a message; send each message by itself",
                reason="SECOND_HEADER",
                code=SEQUENCE,
                place=Place("MSH", 2),
            )
        seen[name] += 1
        raw = line.split(signs.field)
        if name in HEADERS:
            raw.insert(1, signs.field)
        message.segments.append(Segment(name, raw, Place(name, seen[name]), message))
    return message


def _continue(message: Message, line: str, number: int) -> None:
    """Add a line that is no segment to the text it broke from, or list it."""
    last = message.segments[-1] if message.segments else None
    if last and len(last.raw) - 1 == _LAST_TEXT.get(last.name):
        first, *rest = line.split(message.signs.field)
        last.raw[-1] += f"{message.signs.escape}.br{message.signs.escape}{first}"
        last.raw += rest
        return
    text = "a line that is no segment was not read"
    message.asides.add(Place("line", number), "NOT_A_SEGMENT", text)
