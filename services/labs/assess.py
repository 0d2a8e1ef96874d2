"""Scores from a panel: each with its inputs, or precisely why it was not computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.labs import scores
from services.labs.analytes import ANALYTES
from services.labs.interpret import Result
from services.labs.panel import Subject
from services.labs.reasons import NotInterpretable

APART_MAX = timedelta(days=30)
"""Inputs of one score lie at most this far apart: the project's choice, no paper fixes it."""

UMOL_L_PER_MG_DL = 88.4017
"""Creatinine, from its molar mass 113.12 g/mol (PubChem)."""


class NotComputed(NotInterpretable):
    """The score was not computed; the reason says what is missing or out of its validity."""


@dataclass(frozen=True, slots=True)
class Input:
    """One value a score used; `observation_id` is empty for age and sex."""

    name: str
    value: str
    unit: str
    observation_id: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """One score; `value` is None when it was not computed, and `reason` says why."""

    score_id: str
    loinc: str
    name_en: str
    name_zh: str
    unit: str
    source: str
    inputs: tuple[Input, ...] = ()
    value: float | None = None
    shown: str = ""
    category: tuple[str, str] = ("", "")
    reason: NotComputed | None = None


def assess(results: Sequence[Result], subject: Subject) -> list[Score]:
    """Return every score the project knows, computed or refused; none for an empty panel."""
    attempts = ((_EGFR, _egfr), (_FIB4, _fib4))
    return [_attempt(score, make, results, subject) for score, make in attempts if results]


_EGFR = Score(
    "egfr-ckd-epi-2021",
    "98979-8",
    "Estimated GFR (CKD-EPI 2021, creatinine)",
    "估算肾小球滤过率（CKD-EPI 2021，肌酐）",
    "mL/min/{1.73_m2}",
    scores.EGFR_SOURCE,
)
_FIB4 = Score("fib-4", "", "Fibrosis-4 index", "肝纤维化FIB-4指数", "1", scores.FIB4_SOURCE)

_Make = Callable[[Sequence[Result], Subject], Score]


def _attempt(score: Score, make: _Make, results: Sequence[Result], subject: Subject) -> Score:
    try:
        return make(results, subject)
    except NotComputed as reason:
        return replace(score, reason=reason)


def _egfr(results: Sequence[Result], subject: Subject) -> Score:
    age = _adult_age(subject)
    if subject.sex not in ("male", "female"):
        raise NotComputed("the equation needs the sex male or female", reason="SEX_UNKNOWN")
    if subject.pregnant:
        raise NotComputed("the equation does not hold in pregnancy", reason="PREGNANCY")
    (creatinine,) = _latest(results, ("creatinine",))
    value = scores.egfr_ckd_epi_2021(
        _positive(creatinine) / UMOL_L_PER_MG_DL, age, female=subject.sex == "female"
    )
    sex = Input("sex", subject.sex, "")
    return replace(
        _EGFR,
        inputs=(_input(creatinine), Input("age", str(age), "a"), sex),
        value=value,
        shown=f"{value:.1f}",
        category=scores.gfr_category(value),
    )


def _fib4(results: Sequence[Result], subject: Subject) -> Score:
    age = _adult_age(subject)
    used = _latest(results, ("ast", "alt", "plt"))
    ast, alt, platelets = map(_positive, used)
    value = scores.fib4(age, ast, alt, platelets)
    return replace(
        _FIB4,
        inputs=(Input("age", str(age), "a"), *map(_input, used)),
        value=value,
        shown=f"{value:.2f}",
        category=scores.fib4_category(value, age),
    )


def _adult_age(subject: Subject) -> int:
    """Return the age in completed years."""
    if subject.age_years is None:
        raise NotComputed("the age is not known", reason="AGE_UNKNOWN")
    if not subject.adult:
        raise NotComputed("not validated below 18 years", reason="AGE_BELOW_18")
    return int(subject.age_years)


def _latest(results: Sequence[Result], wanted: Sequence[str]) -> list[Result]:
    """Return the latest usable result of each analyte, all within `APART_MAX`."""
    found: list[Result] = []
    for analyte_id in wanted:
        usable = [
            r
            for r in results
            if r.canonical is not None and r.analyte and r.analyte.analyte_id == analyte_id
        ]
        if not usable:
            raise NotComputed(
                f"no usable result of {ANALYTES[analyte_id].name_en}",
                reason="MISSING_INPUT",
                input=analyte_id,
            )
        if len(usable) > 1 and not all(_time(r) for r in usable):
            raise NotComputed(
                f"several results of {ANALYTES[analyte_id].name_en}, not all with a time",
                reason="AMBIGUOUS_INPUT",
                input=analyte_id,
            )
        found.append(max(usable, key=lambda r: _time(r) or _NEVER))
    times = [time for time in map(_time, found) if time]
    if times and max(times) - min(times) > APART_MAX:
        raise NotComputed(
            "the inputs lie too far apart",
            reason="INPUTS_TOO_FAR_APART",
            days=(max(times) - min(times)).days,
        )
    return found


_NEVER = datetime.min.replace(tzinfo=UTC)


def _time(result: Result) -> datetime | None:
    try:
        time = datetime.fromisoformat(result.measured.effective)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _positive(result: Result) -> float:
    value = result.canonical or Decimal(0)
    if value <= 0:
        raise NotComputed("an input is zero", reason="INPUT_IS_ZERO")
    return float(value)


def _input(result: Result) -> Input:
    analyte = result.analyte
    name, unit = (analyte.analyte_id, analyte.unit.ucum) if analyte else ("", "")
    return Input(name, result.shown, unit, result.measured.observation_id)
