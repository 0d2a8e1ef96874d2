"""What a file of conditions becomes, what is known of a case, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

Json = Mapping[str, object]


class Weight(IntEnum):
    """Points of a feature; a red flag has none."""

    DECISIVE = 3
    """Alone enough to consider the condition."""
    STRONG = 2
    SUPPORTIVE = 1
    OPPOSING = -1
    STRONGLY_OPPOSING = -2


POINTS_MIN = 3
"""A condition is suggested from so many points on; below, too little speaks for it."""


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) of a note's text, and the part and note it stands in."""

    part_id: str
    note_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known: a mention, a result, a score, a risk, a finding, a measure."""

    key: str
    """What it is about, for example "note:Fever", "lab:k", "score:curb-65"."""
    zh: str
    en: str
    number: float | None = None
    """In the unit of analytes.tsv."""
    said: frozenset[str] = frozenset()
    """low, high, normal, critical, abnormal, positive, negative."""
    places: tuple[str, ...] = ()
    """Ids of Observations of the Bundle that say so."""
    spans: tuple[Span, ...] = ()
    stated: tuple[str, str] = ("", "")
    """Of a rule: its statement, Chinese and English, for where it opposes; else empty."""
    least: float | None = None
    most: float | None = None
    """Where the number is not known: its ends ("> 8.0", "3-5"); None: open."""
    strict: bool = False
    """The ends themselves are left out: "> 8.0", not "≥ 8.0"."""
    results: frozenset[str] = frozenset()
    """The results that it is, or that its rule rests on; empty: it is none of a laboratory."""


@dataclass(slots=True)
class Facts:
    """Everything known of a case, by key."""

    by_key: dict[str, list[Fact]] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        """Keep a fact."""
        self.by_key.setdefault(fact.key, []).append(fact)

    def number(self, key: str) -> float | None:
        """Return the first number known under a key."""
        return next((f.number for f in self.by_key.get(key, ()) if f.number is not None), None)


OF_ADULTS = {
    **dict.fromkeys(
        [
            (f"vital:{name}", up)
            for name in ("heart-rate", "respiratory-rate")
            for up in (">", ">=")
        ],
        18.0,
    ),
    **dict.fromkeys([(f"vital:{name}", "<") for name in ("sbp", "dbp")], 10.0),
}
"""From which age on, years, a limit of a vital sign holds: children breathe and beat faster, and
below ten their pressure is lower (Pediatric Advanced Life Support, American Heart Association)."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One question to the facts: any of these keys, and what must hold of it."""

    keys: tuple[str, ...]
    state: str = ""
    """One of `Fact.said`; empty: it is enough that the fact is there."""
    operator: str = ""
    limit: float = 0.0

    def found(self, facts: Facts) -> Sequence[Fact]:
        """Return the facts that answer it with yes."""
        known = facts.by_key
        if len(self.keys) == 1:
            hits: Sequence[Fact] = known.get(self.keys[0], ())
        else:
            hits = [fact for key in self.keys if key in known for fact in known[key]]
        if not hits or not (self.state or self.operator):
            return hits
        found = [fact for fact in hits if self._holds(fact)]
        if found and (from_age := OF_ADULTS.get((self.keys[0], self.operator))):
            age = facts.number("person:age")
            return [] if age is not None and age < from_age else found
        return found

    def _holds(self, fact: Fact) -> bool:
        if self.state:
            return self.state in fact.said
        if fact.number is None:
            return self._is_certain(fact)
        match self.operator:
            case "<":
                return fact.number < self.limit
            case "<=":
                return fact.number <= self.limit
            case ">":
                return fact.number > self.limit
            case _:
                return fact.number >= self.limit

    def _is_certain(self, fact: Fact) -> bool:
        """Tell whether every number between a fact's ends answers with yes."""
        up = self.operator in (">", ">=")
        end = fact.least if up else fact.most
        if end is None:
            return False
        reached = fact.strict or self.operator in (">=", "<=")
        if end == self.limit:
            return reached
        return end > self.limit if up else end < self.limit


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a condition: one of several sets of atoms that all hold."""

    text: str
    either: tuple[tuple[Atom, ...], ...]
    zh: str = ""
    en: str = ""

    def found(self, facts: Facts) -> list[Fact]:
        """Return the facts that show it; empty: it is not shown."""
        shown: dict[int, Fact] = {}
        for together in self.either:
            answers = []
            for atom in together:
                if not (answer := atom.found(facts)):
                    break
                answers.append(answer)
            else:
                shown.update((id(fact), fact) for answer in answers for fact in answer)
        return list(shown.values())

    def asked(self) -> Iterable[str]:
        """Return every key that it asks for."""
        return (key for together in self.either for atom in together for key in atom.keys)


@dataclass(frozen=True, slots=True)
class Source:
    """A guideline or a validated rule; `checked`: its statements were read for this table."""

    text: str
    link: str
    checked: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Of whom a condition is considered; what is not known limits nothing."""

    age_min: float | None = None
    age_max: float | None = None
    sex: str = ""
    """M or F."""
    pregnancy: str = ""
    """only (then it must be known), never, or empty."""

    def allow(self, facts: Facts) -> bool:
        """Tell whether the condition may be considered of the person."""
        age = facts.number("person:age")
        if age is not None and (
            (self.age_min is not None and age < self.age_min)
            or (self.age_max is not None and age > self.age_max)
        ):
            return False
        others = {"M": "F", "F": "M"}
        if self.sex and f"person:{others[self.sex]}" in facts.by_key:
            return False
        pregnant = "person:pregnant" in facts.by_key
        return pregnant if self.pregnancy == "only" else not (self.pregnancy and pregnant)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, ready to be weighed."""

    id: str
    topic: str
    zh: str
    en: str
    limits: Limits
    red: tuple[Feature, ...]
    weighed: tuple[tuple[Weight, Feature], ...]
    core: tuple[Feature, ...]
    """One of these at least must be there."""
    ask: tuple[str, str]
    """What to ask or examine, Chinese and English; may be empty."""
    next: tuple[str, str]
    """What to order or do, Chinese and English."""
    sources: tuple[Source, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A feature that the case shows."""

    feature: Feature
    weight: int
    """Points; of a red flag 0."""
    red: bool
    facts: tuple[Fact, ...]

    @property
    def results(self) -> frozenset[str]:
        """The results that it says, and nothing else; empty: it says something else too."""
        found: frozenset[str] = frozenset()
        for fact in self.facts:
            if not fact.results:
                return fact.results
            found |= fact.results
        return found


@dataclass(frozen=True, slots=True)
class Weighed:
    """A condition with what the case shows of it."""

    condition: Condition
    evidence: tuple[Evidence, ...]
    """Red flags, then what supports, then what opposes; each with the heaviest first."""
    points: int

    @property
    def red_flags(self) -> tuple[Evidence, ...]:
        """What makes it pressing."""
        return tuple(each for each in self.evidence if each.red)

    @property
    def supports(self) -> tuple[Evidence, ...]:
        """What speaks for it, red flags included."""
        return tuple(each for each in self.evidence if each.red or each.weight > 0)

    @property
    def heaviest(self) -> int:
        """Points of the heaviest feature for it, red flags aside; 0 without one."""
        return max((e.weight for e in self.supports if not e.red), default=0)

    @property
    def opposes(self) -> tuple[Evidence, ...]:
        """What speaks against it."""
        return tuple(each for each in self.evidence if each.weight < 0)

    @property
    def pressing(self) -> bool:
        """Whether it has a red flag, and a decisive or strong feature of its own beside it."""
        return bool(self.red_flags) and self.heaviest >= Weight.STRONG

    def rank(self) -> tuple[bool, int, int, str]:
        """Return its place: pressing ones first, then points, then how much speaks for it."""
        return (not self.pressing, -self.points, -len(self.supports), self.condition.id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is suggested, best first; and what too little speaks for, best first."""

    suggested: Sequence[Weighed] = ()
    insufficient: Sequence[Weighed] = ()
