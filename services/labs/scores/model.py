"""What a score is, what it was computed from, and what kept it from being computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from services.labs.reasons import NotInterpretable
from services.labs.units import Unit


class NotComputed(NotInterpretable):
    """The score was not computed; the reason says what is missing, stale or out of range."""


class Kind(Enum):
    """Where an input comes from."""

    PERSON = "person"
    LAB = "lab"
    LIMIT = "limit"
    EARLIER = "earlier"
    VITAL = "vital"
    ITEM = "item"
    GRADE = "grade"
    NUMBER = "number"

    @property
    def of_laboratory(self) -> bool:
        """Whether a laboratory delivers it."""
        return self in (Kind.LAB, Kind.LIMIT, Kind.EARLIER)


@dataclass(frozen=True, slots=True)
class Quality:
    """One input of scores, as `data/score_inputs.tsv` has it."""

    name: str
    kind: Kind
    sources: tuple[str, ...]
    unit: Unit | None
    low: float
    high: float
    keep_h: float
    name_en: str
    name_zh: str


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Fact:
    """A value of an input, in the unit it is shown in."""

    value: float
    shown: str
    unit: Unit | None
    observation_id: str = ""
    effective: str = ""
    """When it was measured, as it came."""
    time: datetime | None = None
    """The same, UTC; None: not stated, or stated by hand for now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An input of one score: in which unit, and where a value is believed."""

    quality: Quality
    factor: float
    """By what to multiply a value in the quality's unit."""
    unit: str
    """UCUM unit the formula takes."""
    low: float
    high: float
    optional: bool
    floor: float = field(init=False, compare=False, repr=False)
    """The limits with what rounding may take: a value beyond these is beyond the limits."""
    ceiling: float = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        margin = 1e-9 * max(abs(self.low), abs(self.high))
        object.__setattr__(self, "floor", self.low - margin)
        object.__setattr__(self, "ceiling", self.high + margin)


@dataclass(frozen=True, slots=True)
class Band:
    """What a value from `low` on means; `beyond`: only above it."""

    low: float
    beyond: bool
    text_en: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of an input, or of the score itself (`value`), with a number."""

    name: str
    operator: str
    limit: float


Value = float | None
Formula = Callable[..., float]
Meaning = Callable[[float, Sequence[Value]], tuple[str, str]]
Applies = Callable[[Sequence[Value]], bool]


@dataclass(frozen=True, slots=True)
class Definition:
    """One score of the catalogue."""

    score_id: str
    topic: str
    name_en: str
    name_zh: str
    formula: Formula
    wanted: tuple[Wanted, ...]
    one_of: frozenset[str]
    """Optional inputs of which at least one is needed."""
    unit: str
    scale: float
    """By what to multiply what the formula returns."""
    digits: int
    fresh_h: float
    ages: tuple[float, float] | None
    """Valid from the first up to, not including, the second age; None: at any age."""
    in_pregnancy: bool
    bands: tuple[Band, ...]
    meaning: Meaning | None
    """What a value means, when bands cannot say it."""
    listed: tuple[Condition, ...] | None
    """A report lists it when one holds; empty: always; None: only when it is asked for."""
    applies: Applies | None
    """Whether the inputs together are those it was made for; where not, it is not listed."""
    loinc: str
    source: str
    link: str
    note_en: str
    note_zh: str
    opened: str
    """Which part of the source was read, and when; empty: cited from knowledge, not opened."""
    of_laboratory: frozenset[str]
    """The inputs it cannot do without that a laboratory delivers."""
    of_others: frozenset[str]
    """The inputs it cannot do without that neither laboratory nor person tell."""


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Input:
    """One value a score used; `observation_id` is empty for what was stated by hand."""

    name: str
    value: str
    unit: str
    observation_id: str = ""
    effective: str = ""
    name_en: str = ""
    name_zh: str = ""


@dataclass(slots=True)  # not frozen, as above
class Gap:
    """One reason why a score was not computed, about one input."""

    quality: Quality
    reason: NotComputed


@dataclass(slots=True)  # not frozen, as above
class Score:
    """One score; `value` is None when it was not computed, and `reason` says why first."""

    definition: Definition
    inputs: tuple[Input, ...] = ()
    value: float | None = None
    shown: str = ""
    category: tuple[str, str] = ("", "")
    gaps: tuple[Gap, ...] = ()
    listed: bool = False
    """Whether a report lists it; see `services.labs.scores.listing`."""

    @property
    def score_id(self) -> str:
        """Its id in the catalogue."""
        return self.definition.score_id

    @property
    def reason(self) -> NotComputed | None:
        """Why it was not computed: the first of its gaps."""
        return self.gaps[0].reason if self.gaps else None

    @property
    def exact(self) -> Decimal | None:
        """The value as a decimal number."""
        return None if self.value is None else Decimal(repr(self.value))
