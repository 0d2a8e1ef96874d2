"""What is known of one person: results, ordinal answers, scores and the blood gas, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.labs import blood_gas, ranges
from services.labs.blood_gas_gaps import Gas, Reading
from services.labs.interpret import Result
from services.labs.panel import Subject
from services.labs.reasons import NoRange
from services.labs.rules.known import BOUNDED_MAX, FAR, HIGH, LOW, NEAR_ZERO, bounds_of
from services.labs.rules.known import Known as Known
from services.labs.rules.known import Score as Score
from services.labs.rules.model import Derived
from services.labs.times import moment

DAY_H = 24.0


@dataclass(slots=True)
class Facts:
    """See the module; `series` holds every value of a name, latest last, when all have times."""

    subject: Subject
    latest: dict[str, Known] = field(default_factory=dict)
    series: dict[str, list[Known]] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    gas: Reading | None = None
    has_bounds: bool = False
    """Whether a value is known only by its bounds."""
    _numbers: dict[str, float | None] = field(default_factory=dict)
    """What `number` has answered: rules ask the same again and again."""

    def number(self, name: str) -> float | None:
        """Return the value of a name; None: not known."""
        if name in self._numbers:
            return self._numbers[name]
        value: float | None = None
        if name == "age":
            value = self.subject.age_years
        elif own := self.derived.get(name):
            value = own.quantity.value(self)
        elif known := self.latest.get(name):
            value = known.number
        self._numbers[name] = value
        return value

    def bounds(self, name: str) -> tuple[float, float] | None:
        """Return the least and the greatest value a name may have; None: it has one, or none."""
        known = self.latest.get(name)
        return known.bounds if known else None

    def corners(self, names: Iterable[str]) -> list[Facts]:
        """Return the facts with each bounded name at its least and at its greatest value.

        None of them when nothing that `names` rest on is bounded, or too much is.
        """
        bounded = sorted({each for each in self._parts(names) if self.bounds(each)})
        if not 0 < len(bounded) <= BOUNDED_MAX:
            return []
        found = [self]
        for name in bounded:
            known = self.latest[name]
            found = [
                each.with_value(name, replace(known, number=end, bounds=None))
                for each in found
                for end in known.bounds or ()
            ]
        return found

    def _parts(self, names: Iterable[str]) -> Iterable[str]:
        for name in names:
            if own := self.derived.get(name):
                yield from own.quantity.names
            else:
                yield name

    def forget(self) -> None:
        """Ask anew: the values have changed."""
        self._numbers.clear()

    def of(self, function: str, name: str) -> float | None:
        """Return what a function of `expression` says of a name; None: not known."""
        known = self.latest.get(name)
        if known is None:
            return None
        if function == "uln":
            return known.uln
        if function == "lln":
            return known.lln
        if function == "critical":
            return float(known.critical)
        return _over_time(function, self.series.get(name, []))

    def state(self, name: str) -> str | None:
        """Return low, high, normal or an answer; of sex, male or female; None: not known."""
        if name == "sex":
            return self.subject.sex if self.subject.sex in ("male", "female") else None
        known = self.latest.get(name)
        return known.state or None if known else None

    def truth(self, name: str) -> bool | None:
        """Return whether the person is pregnant, or the blood gas shows something."""
        if name == "pregnant":
            return self.subject.pregnant
        if name.startswith("gas:"):
            return name[4:] in self.gas.findings if self.gas else None
        return None

    def shown(self, name: str) -> str:
        """Return the value of a name for a reader; empty: not known."""
        if own := self.derived.get(name):
            value = own.quantity.value(self)
            return "" if value is None else f"{value:.{own.digits}f}"
        known = self.latest.get(name)
        return known.shown if known else ""

    def evidence(self, name: str) -> tuple[str, ...]:
        """Return the Observations and scores behind a name."""
        if own := self.derived.get(name):
            return tuple(
                dict.fromkeys(i for n in sorted(own.quantity.names) for i in self.evidence(n))
            )
        if name.startswith("gas:"):
            used = self.gas.used if self.gas else []
            return tuple(i for n in used for i in self.evidence(n))
        known = self.latest.get(name)
        return known.evidence_ids if known else ()

    def times(self, names: Iterable[str]) -> list[datetime]:
        """Return the times of the values of names that have one."""
        found = []
        for name in names:
            if own := self.derived.get(name):
                found += self.times(own.quantity.names)
            elif (known := self.latest.get(name)) and known.time:
                found.append(known.time)
        return found

    def names(self) -> set[str]:
        """Return every name that is known, the blood gas and the person left out."""
        return set(self.latest)

    def with_value(self, name: str, known: Known) -> Facts:
        """Return the same facts with another value of one name."""
        latest = {**self.latest, name: known}
        bounded = any(each.bounds for each in latest.values()) if self.has_bounds else False
        return Facts(self.subject, latest, {}, self.derived, self.gas, bounded)


def gather(
    results: Sequence[Result],
    scores: Sequence[Score],
    subject: Subject,
    derived: Mapping[str, Derived],
) -> tuple[Facts, dict[str, list[Known]]]:
    """Return the facts, and every value of each name whatever its time.

    Of several values the latest counts; of several without a time none does, since nobody
    knows which it is.
    """
    every: dict[str, list[Known]] = {}
    for result in results:
        name = result.name
        if name and (known := _of_result(result)):
            every.setdefault(name, []).append(_limited(known, result, subject))
    facts = Facts(subject, derived=derived)
    for name, values in every.items():
        if len(values) == 1:
            facts.latest[name] = values[0]
        elif all(each.time for each in values):
            values.sort(key=_time)
            facts.series[name] = values
            facts.latest[name] = values[-1]
    for score in scores:
        if score.value is not None:
            used = [each.observation_id for each in score.inputs if each.observation_id]
            ids = (*used, score.score_id)
            facts.latest[f"score:{score.score_id}"] = Known(float(score.value), score.shown, ids)
    facts.gas = _gas(facts)
    facts.has_bounds = any(each.bounds for each in facts.latest.values())
    facts.forget()
    return facts, every


def _of_result(result: Result) -> Known | None:
    ids = (result.measured.observation_id,)
    time = moment(result.measured.effective)
    if result.answer:
        grade = float(result.answer.grade) if result.answer.grade else None
        return Known(grade, result.measured.text, ids, state=result.answer.answer.value, time=time)
    if result.canonical is None and result.interval is None:
        return None
    flag = result.flag
    state = "low" if flag in LOW else "high" if flag in HIGH else "normal" if flag else ""
    low, high = result.range.floats if result.range else (None, None)
    bounds = bounds_of(result.interval) if result.interval else None
    # By place: by name they take two and a half times as long.
    return Known(result.number, result.shown, ids, state, result.critical, high, low, time, bounds)


NOMINAL_AGE = 40.0
"""Years; inside every adult range of the built-in table."""


def _limited(known: Known, result: Result, subject: Subject) -> Known:
    """Return the value with the limits of adults when nothing else says any.

    In pregnancy and without an age no built-in range holds, so nothing is flagged by one; an
    emergency told by a multiple of the limit must not be missed for that.
    """
    stated = subject.age_years is not None and not subject.pregnant
    if stated or result.analyte is None or known.uln is not None or known.lln is not None:
        return known
    try:
        limits = ranges.built_in(result.analyte, Subject(subject.sex, NOMINAL_AGE))
    except NoRange:
        return known
    low, high = limits.floats
    return replace(known, uln=high, lln=low)


def _gas(facts: Facts) -> Reading | None:
    ph, pco2 = facts.number("ph"), facts.number("pco2")
    if ph is None or pco2 is None:
        return None
    named = ("hco3", "na", "cl", "albumin", "glucose", "urea", "osmolality")
    near = {name: _near(facts, name, "ph") for name in named}
    return blood_gas.read(Gas(ph, pco2, **near))


GAS_APART_H = 6.0
"""Chemistry within these hours of the gas is read with it: the project's choice."""


def _near(facts: Facts, name: str, other: str) -> float | None:
    """Return a value that was taken about when another was; None: not known, or apart."""
    known, beside = facts.latest.get(name), facts.latest.get(other)
    if known is None or beside is None:
        return None
    if known.time and beside.time and abs(_hours(known.time, beside.time)) > GAS_APART_H:
        return None
    return known.number


def _over_time(function: str, values: Sequence[Known]) -> float | None:
    """Return what a function says of values in order of time; None: there are too few."""
    if len(values) < 2 or values[-1].number is None:
        return None
    last, before, number = values[-1], values[-2], values[-1].number
    if function == "earlier":
        return before.number if before.bounds is None else _below(before.bounds)
    if function == "hours":
        return _hours(before.time, last.time)
    days = 2 if function == "rise_48h" else 7
    window = [
        each.number
        for each in values[:-1]
        if each.number is not None and _hours(each.time, last.time) <= days * DAY_H
    ]
    if not window:
        return None
    return number - min(window) if function == "rise_48h" else min(window)


def _below(bounds: tuple[float, float]) -> float | None:
    """Return the end of an earlier value below a limit (`<5`): what came after rose by no less."""
    return bounds[1] if bounds[0] <= NEAR_ZERO and bounds[1] < FAR else None


def _hours(start: datetime | None, end: datetime | None) -> float:
    return (end - start).total_seconds() / 3600 if start and end else float("inf")


def _time(known: Known) -> datetime:
    return known.time or datetime.min.replace(tzinfo=UTC)
