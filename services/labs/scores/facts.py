"""What is known of a person for scores: results, vital signs, what follows from them, and what
was stated by hand. The newest value of an input counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median

from services.labs import reasons, units
from services.labs.interpret import Result, unit_of
from services.labs.panel import Measured, Quantity, Subject
from services.labs.reasons import NotInterpretable
from services.labs.scores.inputs import ANSWERS, BY_ANALYTE, BY_LOINC, CELSIUS, QUALITIES
from services.labs.scores.model import Fact, Kind, Quality
from services.labs.times import moment

TEMPERATURES = {"Cel": 1.0, "°C": 1.0, "℃": 1.0, "C": 1.0, "[degF]": 5 / 9, "°F": 5 / 9, "℉": 5 / 9}
"""Spellings of the two scales, by degrees Celsius per degree."""
FAHRENHEIT_ZERO = 32.0
WEEK, YEAR, TWO_DAYS = timedelta(days=7), timedelta(days=365), timedelta(hours=48)
COUNTED = frozenset({"heart-rate", "respiratory-rate", "gcs", "gcs-verbal"})
"""Vital signs whose units count beats, breaths or points: UCUM has none, and spells them freely."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """The value of each input that has one, and why others have none."""

    subject: Subject
    values: Mapping[str, Fact]
    ambiguous: frozenset[str] = frozenset()
    """Inputs of which several values cannot be told apart by time."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Inputs that came with a value that could not be interpreted: the reason."""
    as_of: datetime | None = None
    """The time by which freshness is judged: that of the newest value."""


def gather(
    results: Sequence[Result],
    subject: Subject,
    stated: Mapping[str, Fact] | None = None,
    before: Sequence[Fact] = (),
) -> Facts:
    """Return what is known; what was stated by hand replaces what was measured.

    `before` holds creatinine from before the part: baselines rest on it, nothing else does.
    """
    found: dict[str, list[Fact]] = {}
    unusable: dict[str, str] = {}
    for result in results:
        for quality, fact in _of_result(result, unusable):
            found.setdefault(quality.name, []).append(fact)
    values: dict[str, Fact] = {}
    ambiguous: set[str] = set()
    for name, facts in found.items():
        newest = _newest(facts)
        if newest is None:
            ambiguous.add(name)
        else:
            values[name] = newest
    if creatinine := found.get("creatinine"):
        values |= _earlier([*before, *creatinine])
    values |= stated or {}
    values |= {name: fact for name, fact in _derived(values) if name not in values}
    values |= {name: fact for name, fact in _person(subject) if name not in values}
    times = [fact.time for fact in values.values() if fact.time]
    return Facts(
        subject,
        values,
        frozenset(ambiguous - values.keys()),
        unusable,
        max(times, default=None),
    )


def time_of(effective: str) -> datetime | None:
    """Return a FHIR date or time as UTC; None when it is none."""
    return moment(effective)


def celsius(value: float, spelling: str) -> float | None:
    """Return a temperature in degrees Celsius; None when the unit is not one of temperature."""
    size = TEMPERATURES.get(spelling.strip())
    if size is None:
        return None
    return value if size == 1.0 else (value - FAHRENHEIT_ZERO) * size


def _of_result(result: Result, unusable: dict[str, str]) -> Iterator[tuple[Quality, Fact]]:
    item, analyte = result.measured, result.analyte
    if analyte:
        for quality in BY_ANALYTE.get(analyte.analyte_id, ()):
            if fact := _of_laboratory(result, quality):
                yield quality, fact
            elif quality.kind is Kind.LAB and result.interval:
                unusable[quality.name] = "VALUE_HAS_COMPARATOR"
            elif quality.kind is Kind.LAB and result.reason:
                unusable[quality.name] = result.reason.reason
    if item.answers and item.status not in reasons.STATUSES and item.status:
        yield from _of_answers(item)
    quality_of_sign: Quality | None = None
    for code in item.loinc:
        if quality_of_sign := BY_LOINC.get(code):
            break
    if quality_of_sign is None or item.quantity is None or item.quantity.comparator:
        return
    if item.status in reasons.STATUSES or not item.status or not item.quantity.in_scale:
        return
    value = of_sign(quality_of_sign, item.quantity)
    if value is None:
        unusable[quality_of_sign.name] = "WRONG_DIMENSION"
        return
    yield (
        quality_of_sign,
        Fact(
            value,
            shown_sign(item.quantity, value),
            quality_of_sign.unit,
            item.observation_id,
            item.effective,
            time_of(item.effective),
        ),
    )


def _of_answers(item: Measured) -> Iterator[tuple[Quality, Fact]]:
    for code in item.answers:
        if code in ANSWERS:
            quality, yes = ANSWERS[code]
            shown, time = "yes" if yes else "no", time_of(item.effective)
            yield quality, Fact(float(yes), shown, None, item.observation_id, item.effective, time)


def _of_laboratory(result: Result, quality: Quality) -> Fact | None:
    analyte, item = result.analyte, result.measured
    value, shown = result.number, result.shown
    if analyte is None or result.canonical is None or value is None:
        return None
    unit = analyte.unit
    if quality.kind is Kind.LIMIT:
        high = result.range.high if result.range else None
        if high is None or high <= 0:
            return None
        value, shown = float(high), f"{high.normalize():f}"
        if quality.name == "troponin-times-upper":
            value = float(result.canonical / high)
            shown, unit = f"{value:.2f}", units.read("1")
    elif quality.kind is not Kind.LAB:
        return None
    return Fact(value, shown, unit, item.observation_id, item.effective, time_of(item.effective))


def of_sign(quality: Quality, quantity: Quantity) -> float | None:
    """Return a vital sign in its unit; None when its unit does not measure it."""
    number = float(quantity.number)
    if quality.unit is CELSIUS:
        spellings = [each for each in (quantity.code, quantity.unit) if each]
        known = [t for each in spellings if (t := celsius(number, each)) is not None]
        return known[0] if known else None
    if quality.name in COUNTED and _counted(quantity):
        return number
    try:
        unit = unit_of(quantity)
    except NotInterpretable:
        return None
    if unit is None:
        return number if quality.unit and quality.unit.ucum == "1" else None
    if quality.unit is None or unit.property != quality.unit.property:
        return None
    return number * float(unit.factor_to(quality.unit))


def shown_sign(quantity: Quantity, value: float) -> str:
    """Return a vital sign for a reader: as it came when its unit is the input's own."""
    return quantity.written if value == float(quantity.number) else f"{value:.4g}"


def _counted(quantity: Quantity) -> bool:
    """Tell whether the unit counts beats, breaths or points, as FHIR's vital signs do."""
    return (quantity.code or quantity.unit).strip() in {
        *("/min", "{beats}/min", "{breaths}/min", "{Beats}/min", "bpm", "beats/minute"),
        *("breaths/minute", "次/分", "{score}", "{Score}"),
    }


def _newest(facts: Sequence[Fact]) -> Fact | None:
    """Return the newest; None when times do not tell which that is."""
    if len(facts) == 1:
        return facts[0]
    if not all(fact.time for fact in facts):
        return None
    newest = max(fact.time or _NEVER for fact in facts)
    last = [fact for fact in facts if fact.time == newest]
    return last[0] if len({fact.value for fact in last}) == 1 else None


def _earlier(results: Iterable[Fact]) -> dict[str, Fact]:
    """Return the baselines of creatinine among the results before the newest, umol/L."""
    timed = sorted(((fact.time, fact) for fact in results if fact.time), key=lambda pair: pair[0])
    if len(timed) < 2:
        return {}
    now = timed[-1][0]
    before = [(now - time, fact) for time, fact in timed if time < now]
    found: dict[str, Fact] = {}
    for name, span in (("creatinine-lowest-7d", WEEK), ("creatinine-lowest-48h", TWO_DAYS)):
        if within := [fact for age, fact in before if age <= span]:
            found[name] = min(within, key=lambda fact: fact.value)
    if older := [fact for age, fact in before if WEEK < age <= YEAR]:
        value = median(fact.value for fact in older)
        last = older[-1]
        found["creatinine-median-year"] = Fact(
            value, f"{value:.4g}", last.unit, last.observation_id, last.effective, last.time
        )
    return found


LEADING = frozenset({"oxygen-flow", "gcs-verbal"})
"""Inputs that no score takes itself: another one follows from them."""
ROOM_AIR_PCT = 21.0
FULLY_AWAKE, ORIENTED = 15, 5
"""Points of the Glasgow coma scale: of all of it, and of its verbal part."""


def _derived(values: Mapping[str, Fact]) -> Iterator[tuple[str, Fact]]:
    """Yield what follows from others, when what it rests on is known."""
    weight, height = values.get("weight"), values.get("height")
    if weight and height and height.value > 0:
        yield "bmi", _together("bmi", weight.value / (height.value / 100.0) ** 2, weight)
    systolic, diastolic = values.get("sbp"), values.get("dbp")
    if systolic and diastolic and systolic.time == diastolic.time:
        mean = (systolic.value + 2.0 * diastolic.value) / 3.0
        yield "map", _together("map", mean, systolic)
    yield from _observed(values)


def _observed(values: Mapping[str, Fact]) -> Iterator[tuple[str, Fact]]:
    """Yield the yes and no that vital signs answer.

    Oxygen is given when its flow is above 0 or its fraction above that of air; somebody with 15
    points of the Glasgow coma scale is alert; confused speech has fewer than 5 of its verbal
    points. The target of saturation is that of most people until somebody states the other one
    (NEWS2: scale 2 only by a physician's decision).
    """
    flow, fraction = values.get("oxygen-flow"), values.get("fio2")
    if source := flow or fraction:
        yield "oxygen", _answer(source.value > (0.0 if source is flow else ROOM_AIR_PCT), source)
    if points := values.get("gcs"):
        yield "not-alert", _answer(points.value < FULLY_AWAKE, points)
    if speech := values.get("gcs-verbal"):
        yield "confusion", _answer(speech.value < ORIENTED, speech)
    if saturation := values.get("spo2"):
        yield "hypercapnic-scale", _answer(False, saturation)


def _answer(yes: bool, source: Fact) -> Fact:
    shown = "yes" if yes else "no"
    place = source.observation_id
    return Fact(float(yes), shown, None, place, source.effective, source.time)


def _together(name: str, value: float, source: Fact) -> Fact:
    unit = QUALITIES[name].unit
    place = source.observation_id
    return Fact(value, f"{value:.1f}", unit, place, source.effective, source.time)


def _person(subject: Subject) -> Iterator[tuple[str, Fact]]:
    if subject.age_years is not None:
        years = int(subject.age_years)
        yield "age", Fact(float(years), str(years), QUALITIES["age"].unit)
    if subject.sex in ("male", "female"):
        yield "sex", Fact(float(subject.sex == "female"), subject.sex, None)
