"""Findings that a cited rule associates with a value: rules are rows of `data/risks.tsv`.

Only for adults who are not pregnant: every rule's source is about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.labs import tables
from services.labs.analytes import ANALYTES
from services.labs.assess import Score
from services.labs.interpret import Result
from services.labs.panel import Subject

WHOLE_NUMBERS = frozenset({"score:egfr-ckd-epi-2021"})
"""Inputs compared after rounding, as their source does."""
UNRELIABLE_TO_YEARS = {"score:fib-4": 35}
"""Inputs that say nothing up to this age (McPherson S et al. 2017)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Holds for `low <= value < high`; None: no limit."""

    risk_id: str
    input: str
    low: Decimal | None
    high: Decimal | None
    sex: str
    text_en: str
    text_zh: str
    source: str


@dataclass(frozen=True, slots=True)
class Risk:
    """What a rule says, and the observations and scores it rests on."""

    risk_id: str
    text_en: str
    text_zh: str
    evidence_ids: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class _Value:
    number: Decimal
    shown: str
    evidence_ids: tuple[str, ...]


def _load() -> tuple[Rule, ...]:
    rules = []
    for row in tables.rows("risks"):
        if not row["input"].startswith("score:") and row["input"] not in ANALYTES:
            raise KeyError(row["input"])  # a rule on a misspelt analyte would never speak
        low, high = (Decimal(row[end]) if row[end] else None for end in ("low", "high"))
        texts = (row["text_en"], row["text_zh"], row["source"])
        rules.append(Rule(row["risk_id"], row["input"], low, high, row["sex"], *texts))
    return tuple(rules)


RULES = _load()


def find(results: Sequence[Result], scores: Sequence[Score], subject: Subject) -> list[Risk]:
    """Return what the rules say, in the order of the rules."""
    if not subject.adult or subject.pregnant:
        return []
    letter = {"male": "M", "female": "F"}.get(subject.sex, "")
    return [
        Risk(
            rule.risk_id,
            rule.text_en.replace("{value}", value.shown),
            rule.text_zh.replace("{value}", value.shown),
            value.evidence_ids,
            rule.source,
        )
        for rule in RULES
        if rule.sex in ("all", letter)
        for value in _values(rule.input, results, scores, subject)
        if (rule.low is None or value.number >= rule.low)
        and (rule.high is None or value.number < rule.high)
    ]


def _values(
    name: str, results: Sequence[Result], scores: Sequence[Score], subject: Subject
) -> Iterator[_Value]:
    if (subject.age_years or 0) <= UNRELIABLE_TO_YEARS.get(name, -1):
        return
    for score in scores:
        if f"score:{score.score_id}" == name and score.value is not None:
            number = round(score.value) if name in WHOLE_NUMBERS else Decimal(repr(score.value))
            used = [each.observation_id for each in score.inputs if each.observation_id]
            yield _Value(Decimal(number), score.shown, (*used, score.score_id))
    for result in results:
        if result.analyte and result.analyte.analyte_id == name and result.canonical is not None:
            yield _Value(result.canonical, result.shown, (result.measured.observation_id,))
