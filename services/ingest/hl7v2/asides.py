"""Where in a message something stands, and what of it was not taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

LISTED_MAX = 400
"""Different asides that are listed one by one; more are counted."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A segment of a message, and a field of it: never the content."""

    segment: str
    sequence: int = 1
    """Which of this name, from 1."""
    field: int = 0
    """0: the whole segment."""

    def __str__(self) -> str:
        return f"{self.segment}[{self.sequence}]" + (f"-{self.field}" if self.field else "")


@dataclass(frozen=True, slots=True)
class Aside:
    """Something of a message that was not taken, or not as it came."""

    place: Place
    reason: str
    message: str
    times: int


@dataclass(slots=True)
class Asides:
    """Everything that was not taken; the same of many segments is one entry with a count."""

    _found: dict[tuple[str, str, int], tuple[Place, str, int]] = field(default_factory=dict)

    def add(self, place: Place, reason: str, message: str) -> None:
        """List something; `message` says what was done and holds nothing of the content."""
        key = (reason, place.segment, place.field)
        first, said, times = self._found.get(key, (place, message, 0))
        self._found[key] = (first, said, times + 1)

    def all(self) -> list[Aside]:
        """Return what was listed, in the order in which it was first met."""
        return [
            Aside(place, reason, message, times)
            for (reason, _, _), (place, message, times) in self._found.items()
        ]

    def problems(self) -> list[IntakeProblem]:
        """Return what was listed as a submission's answer has it."""
        found = self.all()
        listed = [
            IntakeProblem(
                source=str(each.place) + (f" and {each.times - 1} more" if each.times > 1 else ""),
                reason=each.reason,
                message=each.message,
                count=each.times,
            )
            for each in found[:LISTED_MAX]
        ]
        more = len(found) - LISTED_MAX
        if more > 0:
            text = f"{more} more kinds of content were not taken"
            listed.append(IntakeProblem(source="message", reason="MORE", message=text))
        return listed
