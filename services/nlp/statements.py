"""Two statements that exclude each other, and their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from services.nlp.reading import Mention


class Sort(Enum):
    """What does not fit together; as dxmesh.nlp.v1.ContradictionKind."""

    SIDE = "side"
    ALLERGY = "allergy"
    PROBLEM = "problem"
    SEX = "sex"
    DATES = "dates"


@dataclass(frozen=True, slots=True)
class Place:
    """[start, end) of a note's text; `mention` where it is one."""

    note_id: str
    start: int
    end: int
    mention: Mention | None = None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two statements that exclude each other."""

    sort: Sort
    zh: str
    en: str
    places: tuple[Place, Place]


def place_of(mention: Mention) -> Place:
    """Return where a mention stands."""
    return Place(mention.note_id, mention.start, mention.end, mention)


Pairs = Iterator[tuple[Sort, tuple[Place, Place]]]
