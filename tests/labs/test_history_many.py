"""Hundreds of results of one analyte in a case: what is said of each, and in time that grows so."""

from __future__ import annotations

import random

import pytest

from services.labs.history.overtime import over_time
from services.labs.history.past import Past
from services.labs.history.rows import Row

pytestmark = pytest.mark.requirement("DX-LAB-120")
HOUR_S, MANY, SHOWN = 3600.0, 2000, 12


def row(number: int, at: float, *, specimen: str = "", unit: str = "mmol/L") -> Row:
    clock = f"2026-01-01T{number % 24:02}:00:00Z"
    value = f"{4 + number % 7 / 10:.1f}"
    return Row("k", value, unit, clock, at, specimen=specimen, observation_id=f"o{number}")


def test_each_has_the_newest_before_it_and_the_newest_has_all() -> None:
    chance = random.Random(7)
    kinds = [("", "mmol/L"), ("arterial", "mmol/L"), ("venous", "mmol/L"), ("", "mg/dL")]
    rows = []
    for number in range(120):
        specimen, unit = chance.choice(kinds)
        rows.append(row(number, chance.randrange(80) * HOUR_S, specimen=specimen, unit=unit))
    kept = [row(1000 + n, chance.randrange(-40, 80) * HOUR_S) for n in range(60)]
    found = over_time(rows, Past(kept))
    with_all = [each for each in found.values() if len(each.earlier) > SHOWN]
    assert len(with_all) <= 1
    for each in rows:
        plain = [
            other
            for other in rows
            if other.at < each.at
            and other.unit == each.unit
            and {other.specimen, each.specimen} != {"arterial", "venous"}
        ]
        here = {other.at for other in plain}
        past = sorted(kept, key=lambda other: other.at)[::-1]
        if each.unit == "mmol/L":
            plain += [other for other in past if other.at < each.at and other.at not in here]
        if here:
            plain.sort(key=lambda other: -other.at)
        said = found[each.observation_id].earlier if each.observation_id in found else ()
        expected = plain if len(said) > SHOWN else plain[:SHOWN]
        assert [one.row.observation_id for one in said] == [one.observation_id for one in expected]


def test_what_each_result_holds_does_not_grow_with_the_case() -> None:
    """What is held is what is worked on: with all earlier ones each it would be two million."""
    found = over_time([row(n, n * HOUR_S) for n in range(MANY)], Past())
    assert sum(len(each.earlier) for each in found.values()) < MANY * (SHOWN + 1)
