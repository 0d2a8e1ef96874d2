"""Facts from an example of a rule: each rule is held to one that fits and one that does not.

`k = 6.8` is a value in the canonical unit, `hbsag = "positive"` an answer, `plt = [[0, 220],
[48, 90]]` values by hour, `"score:fib-4" = 3.1` a score, `"uln(lipase)" = 60` a limit of the
laboratory; `age`, `sex` and `pregnant` are the person's. A man of 50 otherwise, and the
built-in ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.labs import qualitative, ranges
from services.labs.analytes import ANALYTES, CODES, Analyte, Code
from services.labs.interpret import Flag, Result
from services.labs.panel import Measured, Subject
from services.labs.reasons import NoRange

_LIMIT = re.compile(r"(uln|lln)\(([a-z0-9-]+)\)")
_START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Input:
    """An input of an example's score."""

    observation_id: str


@dataclass(frozen=True, slots=True)
class Score:
    """A score as an example states it."""

    score_id: str
    value: float | None
    shown: str
    inputs: tuple[Input, ...] = ()


def panel(example: Mapping[str, Any]) -> tuple[list[Result], list[Score], Subject]:
    """Return results, scores and the person of an example.

    Raises
    ------
    KeyError
        It names something that is no analyte, test, score or fact of a person.
    """
    sex, age = str(example.get("sex", "male")), float(example.get("age", 50))
    subject = Subject(sex, age, bool(example.get("pregnant", False)))
    limits = {found.groups(): v for k, v in example.items() if (found := _LIMIT.fullmatch(k))}
    results: list[Result] = []
    scores: list[Score] = []
    for name, value in example.items():
        if name in ("sex", "age", "pregnant") or _LIMIT.fullmatch(name):
            continue
        if name.startswith("score:"):
            scores.append(Score(name[6:], float(value), str(value)))
        elif isinstance(value, str):
            results.append(_answered(name, value))
        else:
            timed = value if isinstance(value, list) else [[0, value]]
            own = {side: limits[side, name] for side in ("uln", "lln") if (side, name) in limits}
            results += [_measured(ANALYTES[name], subject, own, h, v) for h, v in timed]
    return results, scores, subject


def _answered(name: str, text: str) -> Result:
    test = qualitative.BY_ID[name]
    item = Measured(name, "final", text=text, effective=_START.isoformat())
    return Result(item, test=test, answer=qualitative.read(text))


def _measured(
    analyte: Analyte, subject: Subject, own: Mapping[str, Any], hour: float, value: float
) -> Result:
    time = (_START + timedelta(hours=float(hour))).isoformat()
    item = Measured(f"{analyte.analyte_id}@{hour}", "final", effective=time)
    code = next(
        (c for c in CODES.values() if c.analyte is analyte), Code("", analyte, analyte.unit)
    )
    number = Decimal(str(value))
    result = Result(item, code=code, canonical=number, shown=str(value))
    try:
        found = ranges.built_in(analyte, subject)
    except NoRange:
        found = ranges.Range(None, None, "")
    if own:
        low, high = (Decimal(str(own[e])) if e in own else None for e in ("lln", "uln"))
        found = ranges.Range(low, high, "the example")
    if found.low is None and found.high is None:
        return result
    low_side = found.low is not None and number < found.low
    high_side = found.high is not None and number > found.high
    flag = Flag.LOW if low_side else Flag.HIGH if high_side else Flag.NORMAL
    return replace(result, range=found, flag=flag)
