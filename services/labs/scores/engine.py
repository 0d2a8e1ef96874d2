"""Scores from facts: computed when every input is there, fresh and in range; else why not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from services.labs.interpret import Result
from services.labs.panel import Subject
from services.labs.scores import listing
from services.labs.scores.catalogue import CATALOGUE, converted
from services.labs.scores.facts import Facts, gather
from services.labs.scores.inputs import QUALITIES
from services.labs.scores.model import (
    Definition,
    Fact,
    Gap,
    Input,
    Kind,
    NotComputed,
    Quality,
    Score,
    Value,
    Wanted,
)

DAY = timedelta(days=1)
"""What a date without a time of day is allowed on top: it means any hour of that day."""


def assess(results: Sequence[Result], subject: Subject, before: Sequence[Fact] = ()) -> list[Score]:
    """Return the scores that a part allows, or of which it lacks little.

    `before` holds creatinine from before the part.
    """
    facts = gather(results, subject, before=before)
    known = {*facts.values, *facts.ambiguous}
    return [
        _evaluate(each, facts) for each in CATALOGUE.values() if listing.worth_trying(each, known)
    ]


def evaluate(facts: Facts, score_ids: Collection[str]) -> list[Score]:
    """Return the scores, each computed or refused, in the order of the catalogue."""
    return [_evaluate(each, facts) for name, each in CATALOGUE.items() if name in score_ids]


def _evaluate(definition: Definition, facts: Facts) -> Score:
    gaps = [*_person_gaps(definition, facts), *_input_gaps(definition, facts)]
    known = facts.values
    used = [(wanted, known.get(wanted.quality.name)) for wanted in definition.wanted]
    inputs = tuple([_input(wanted, fact) for wanted, fact in used if fact])
    if gaps:
        listed = listing.of_refused(definition, inputs, gaps)
        return Score(definition, inputs, gaps=tuple(gaps), listed=listed)
    values = [_value(wanted, fact) for wanted, fact in used]
    value = float(definition.formula(*values)) * definition.scale
    return Score(
        definition,
        inputs,
        value,
        _shown(value, definition.digits),
        _meaning(definition, value, values),
        listed=(not definition.applies or definition.applies(values))
        and listing.of_computed(definition, value, values),
    )


def _shown(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _meaning(definition: Definition, value: float, values: Sequence[Value]) -> tuple[str, str]:
    if definition.meaning:
        return definition.meaning(value, values)
    text = ("", "")
    for band in definition.bands:
        if value > band.low if band.beyond else value >= band.low:
            text = (band.text_en, band.text_zh)
    return text


def _value(wanted: Wanted, fact: Fact | None) -> Value:
    """Return what the formula takes: a number in its unit, or True and False."""
    if fact is None:
        return None
    kind = wanted.quality.kind
    if kind is Kind.ITEM or wanted.quality.name == "sex":
        return fact.value > 0
    if kind is Kind.GRADE:
        return int(fact.value)
    return fact.value * _factor(wanted, fact)


_FACTORS: dict[tuple[str, str, str], float] = {}


def _factor(wanted: Wanted, fact: Fact) -> float:
    """Return by what to multiply a fact to have it in the unit that the formula takes."""
    if fact.unit is None or fact.unit.ucum == wanted.unit:
        return 1.0
    key = (wanted.quality.name, fact.unit.ucum, wanted.unit)
    if key not in _FACTORS:
        _FACTORS[key] = wanted.factor / converted(wanted.quality, fact.unit)
    return _FACTORS[key]


def _person_gaps(definition: Definition, facts: Facts) -> Iterator[Gap]:
    """Yield why the score does not hold for this person."""
    age, sex = QUALITIES["age"], QUALITIES["sex"]
    stated = facts.values.get("age")
    years = stated.value if stated else facts.subject.age_years
    if definition.ages and years is None:
        yield Gap(age, NotComputed("the age is not known", reason="AGE_UNKNOWN"))
    elif definition.ages and years is not None:
        low, high = definition.ages
        if years < low == 18:
            yield Gap(age, NotComputed("not validated below 18 years", reason="AGE_BELOW_18"))
        elif not low <= years < high:
            yield Gap(
                age,
                NotComputed(
                    "not made for this age",
                    reason="AGE_OUT_OF_RANGE",
                    min=f"{low:g}",
                    below=f"{high:g}",
                ),
            )
    if "sex" not in facts.values and any(w.quality.name == "sex" for w in definition.wanted):
        message = "the equation needs the sex male or female"
        yield Gap(sex, NotComputed(message, reason="SEX_UNKNOWN"))
    if facts.subject.pregnant and not definition.in_pregnancy:
        yield Gap(sex, NotComputed("it does not hold in pregnancy", reason="PREGNANCY"))


def _input_gaps(definition: Definition, facts: Facts) -> Iterator[Gap]:
    """Yield what is missing, not clear, stale or out of range."""
    for wanted in definition.wanted:
        quality = wanted.quality
        if quality.kind is Kind.PERSON:
            continue
        fact = facts.values.get(quality.name)
        if fact is None:
            if not wanted.optional:
                yield Gap(quality, _missing(quality, facts))
        elif refused := _stale(definition, quality, fact, facts.as_of) or _beyond(wanted, fact):
            yield Gap(quality, refused)
    known = facts.values.keys()
    if definition.one_of and not definition.one_of & known:
        for name in sorted(definition.one_of):
            yield Gap(QUALITIES[name], _missing(QUALITIES[name], facts))


def _missing(quality: Quality, facts: Facts) -> NotComputed:
    name = quality.name
    if name in facts.ambiguous:
        return NotComputed(
            f"several results of {quality.name_en}, which times do not tell apart",
            reason="AMBIGUOUS_INPUT",
            input=name,
        )
    if why := facts.unusable.get(name):
        message = f"{quality.name_en} came, and was not interpreted"
        return NotComputed(message, reason="MISSING_INPUT", input=name, because=why)
    return NotComputed(
        f"no usable result of {quality.name_en}"
        if quality.kind.of_laboratory
        else f"{quality.name_en} is not stated",
        reason="MISSING_INPUT",
        input=name,
    )


def _stale(
    definition: Definition, quality: Quality, fact: Fact, as_of: datetime | None
) -> NotComputed | None:
    if fact.time is None or as_of is None or fact.time >= as_of:
        return None
    window = timedelta(hours=max(definition.fresh_h, quality.keep_h))
    if len(fact.effective) <= len("2026-01-01"):
        window += DAY
    age = as_of - fact.time
    if age <= window:
        return None
    return NotComputed(
        f"{quality.name_en} is older than the score allows",
        reason="STALE_INPUT",
        input=quality.name,
        age_h=round(age.total_seconds() / 3600),
        max_h=f"{max(definition.fresh_h, quality.keep_h):g}",
    )


def _beyond(wanted: Wanted, fact: Fact) -> NotComputed | None:
    if wanted.floor <= fact.value * _factor(wanted, fact) <= wanted.ceiling:
        return None
    return NotComputed(
        f"{wanted.quality.name_en} is outside what the score was made for",
        reason="INPUT_OUT_OF_RANGE",
        input=wanted.quality.name,
        low=f"{wanted.low:g}",
        high=f"{wanted.high:g}",
        unit=wanted.unit,
    )


def _input(wanted: Wanted, fact: Fact) -> Input:
    quality = wanted.quality
    return Input(
        quality.name,
        fact.shown,
        fact.unit.ucum if fact.unit else "",
        fact.observation_id,
        fact.effective,
        quality.name_en,
        quality.name_zh,
    )
