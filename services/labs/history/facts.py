"""What history tells rules and scores: earlier values, and figures made of them.

Rules ask `earlier(x)`, `lowest_7d(x)`, `rise_48h(x)` and `hours(x)` of values in order of time;
here those of before the part are put in front of the part's own. Figures are asked as scores:

| name | what it is |
|---|---|
| `score:delta-failures` | analytes whose newest result failed its delta check |
| `score:delta-identity` | those among them whose value is a person's own (`data/delta.tsv`) |
| `score:delta-mcv` | 1 when MCV is one of them |
| `score:group-changed` | 1 when a blood group differs from an earlier one |
| `score:dilution-share` | of what infusions lack, how much fell by a fifth in two days, percent |
| `score:egfr-fall` | fall of the estimated filtration rate from its baseline, percent |
| `score:egfr-categories` | by how many categories it is worse than the baseline |
| `score:egfr-loss` | what is lost a year, mL/min/1.73 m2 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from services.labs.analytes import ANALYTES
from services.labs.history import kidney
from services.labs.history.groups import ABO
from services.labs.history.overtime import Earlier, OverTime
from services.labs.panel import Subject
from services.labs.rules.facts import Facts
from services.labs.rules.known import Known
from services.labs.scores.model import Fact

FIGURES = frozenset(
    (
        *("delta-failures", "delta-identity", "delta-mcv", "group-changed", "dilution-share"),
        *("egfr-fall", "egfr-categories", "egfr-loss"),
    )
)
NOT_INFUSED = frozenset(
    (
        *("albumin", "total-protein", "alt", "alp", "ggt", "ldh", "cholesterol", "urate"),
        *("creatinine", "ca", "phosphate", "hgb", "rbc"),
    )
)
"""What saline and glucose lack and what changes little in two days: the project's choice."""
DILUTED, DILUTED_H, DILUTED_LEAST = -20.0, 48.0, 5
"""Percent, hours, and of how many analytes at least. Source of the first: Rios Campillo C et al.,
Clin Chem Lab Med 2023."""

OverTimes = Mapping[str, OverTime]
STATES = {"L": "low", "LL": "low", "H": "high", "HH": "high", "N": "normal"}


@dataclass(frozen=True, slots=True)
class Input:
    """An Observation that a figure rests on."""

    observation_id: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure made of results over time, as rules read scores."""

    score_id: str
    value: float
    shown: str
    inputs: tuple[Input, ...]


def into_rules(over: OverTimes, names: Set[str]) -> Callable[[Facts], None]:
    """Return what puts earlier values in front of the newest ones of rules' facts.

    `names` are those of which rules ask earlier values.
    """
    newest = _newest(over.values())

    def add(facts: Facts) -> None:
        for name in newest.keys() & names:
            found, known = newest[name], facts.latest.get(name)
            if known is None or known.time is None:
                continue
            before = [_known(each) for each in reversed(found.earlier) if not each.here]
            own = facts.series.get(name) or [known]
            start = own[0].time
            series = [each for each in before if start and each.time and each.time < start]
            if series:
                facts.series[name] = [*series, *own]

    return add


def into_scores(over: OverTimes, analyte: str = "creatinine") -> list[Fact]:
    """Return the results of an analyte from before the part, the newest first."""
    found = _newest(over.values()).get(analyte)
    unit = ANALYTES[analyte].unit
    return [
        Fact(float(each.row.value), each.row.value, unit, "", each.row.effective, _time(each))
        for each in (found.earlier if found else ())
        if not each.here and each.row.unit  # of a creatinine that came as an answer, no number
    ]


def figures(over: OverTimes, subject: Subject) -> list[Figure]:
    """Return the figures that the results allow; see the module."""
    newest = _newest(over.values())
    failed = [each for each in newest.values() if each.change and each.change.delta]
    own = [
        each for each in failed if each.change and each.change.delta and each.change.delta.identity
    ]
    made = [
        _figure("delta-failures", len(failed), failed),
        _figure("delta-identity", len(own), own),
        _figure("delta-mcv", sum(each.row.analyte == "mcv" for each in own), own),
    ]
    made += _dilution(newest)
    group = newest.get(ABO)
    if group and group.earlier and group.earlier[0].row.value != group.row.value:
        made.append(_figure("group-changed", 1, [group]))
    creatinine = newest.get("creatinine")
    if creatinine and creatinine.row.unit:
        made += _of_kidney(creatinine, subject)
    return [each for each in made if each.value]


def _dilution(newest: Mapping[str, OverTime]) -> list[Figure]:
    asked = [
        (found, found.change.percent)
        for name in sorted(NOT_INFUSED)
        if (found := newest.get(name)) and found.change and found.change.hours <= DILUTED_H
    ]
    diluted = [found for found, percent in asked if percent <= DILUTED]
    if len(asked) < DILUTED_LEAST:
        return []
    return [_figure("dilution-share", 100.0 * len(diluted) / len(asked), diluted)]


def _of_kidney(found: OverTime, subject: Subject) -> list[Figure]:
    points = [(-each.hours_before, float(each.row.value)) for each in reversed(found.earlier)]
    course = kidney.course([*points, (0.0, float(found.row.value))], subject)
    if course is None:
        return []
    made = []
    if course.fall_pct is not None:
        made.append(_figure("egfr-fall", course.fall_pct, [found], 0))
        made.append(_figure("egfr-categories", course.categories, [found]))
    if course.per_year is not None:
        made.append(_figure("egfr-loss", -course.per_year, [found], 1))
    return made


def _figure(name: str, value: float, rests_on: Iterable[OverTime], digits: int = 0) -> Figure:
    inputs = tuple(Input(each.row.observation_id) for each in rests_on)
    return Figure(name, float(value), f"{value:.{digits}f}", inputs)


def _newest(over: Iterable[OverTime]) -> dict[str, OverTime]:
    """Return by analyte the newest result that has earlier ones."""
    found: dict[str, OverTime] = {}
    for each in over:
        held = found.get(each.row.analyte)
        if held is None or each.row.at > held.row.at:
            found[each.row.analyte] = each
    return found


def _known(each: Earlier) -> Known:
    row = each.row
    numeric = bool(row.unit)
    return Known(
        float(row.number) if numeric else (float(row.grade) or None),
        row.value,
        (),
        state=STATES.get(row.flag, "") if numeric else row.value,
        critical=row.flag in ("LL", "HH"),
        uln=float(row.high) if row.high else None,
        lln=float(row.low) if row.low else None,
        time=_time(each),
    )


def _time(each: Earlier) -> datetime:
    return datetime.fromtimestamp(each.row.at, UTC)
