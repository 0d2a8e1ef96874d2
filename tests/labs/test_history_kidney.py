"""Acute kidney injury over earlier cases, by hand: KDIGO 2012 and the NHS England algorithm 2014.

Each case is creatinine in µmol/L with days before the newest, then what a hand calculation by the
published text gives. KDIGO: 26.5 µmol/L (0.3 mg/dL) or more within 48 hours; 1.5, 2 and 3 times the
lowest of 7 days; stage 3 as well from 353.6 µmol/L (4.0 mg/dL) when one of the former holds. NHS
England: the higher of C/RV1 (lowest of 0-7 days) and C/RV2 (median of 8-365 days), above 354 stage
3; below 1.5 more than 26 µmol/L above the lowest of 48 hours is stage 1. The texts are quoted from
memory of the public documents; they were not opened for this file.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.labs import panel
from services.labs.findings import interpreted
from services.labs.history.document import Bounds, Kept, bounded
from services.labs.history.past import Past
from tests.labs.history_cases import CREATININE, START, document, observation, rows_of

HOUR = 1 / 24
STAGES = {f"aki-stage-{n}": n for n in (1, 2, 3)}

CASES = [
    # now, earlier (days, value), KDIGO stage, NHS stage: 0 none
    (119, [(3, 80)], 0, 0),  # 1.49 times
    (120, [(3, 80)], 1, 1),  # 1.50
    (159, [(3, 80)], 1, 1),  # 1.99
    (160, [(3, 80)], 2, 2),  # 2.00
    (239, [(3, 80)], 2, 2),  # 2.99
    (240, [(3, 80)], 3, 3),  # 3.00
    (226, [(1, 200)], 0, 0),  # 26 in a day: below 26.5, and not more than 26
    (227, [(1, 200)], 1, 1),  # 27 in a day
    (227, [(47 * HOUR, 200)], 1, 1),
    (227, [(49 * HOUR, 200)], 0, 0),  # 27, but over 48 hours; 1.14 times
    (360, [(3, 240)], 3, 3),  # 1.50 times, and above 353.6 and 354
    (352, [(3, 234)], 1, 1),  # 1.50 times, below 353.6
    (360, [(1, 330)], 3, 1),  # 30 in a day, 1.09 times: KDIGO 3 from 353.6, NHS 1
    (360, [(5, 330)], 0, 0),  # high before: chronic
    (120, [(30, 60), (60, 100), (90, 80)], 0, 1),  # median 80: 1.50
    (119, [(20, 60), (40, 100)], 0, 0),  # median 80: 1.49
    (125, [(5, 100), (30, 60), (60, 60)], 0, 2),  # 1.25 and 2.08: the higher
    (160, [(5, 75), (30, 150), (60, 150)], 2, 2),  # 2.13 and 1.07: the higher
    (200, [(366, 60)], 0, 0),  # older than a year: no baseline
    (112, [(6, 70), (1, 110)], 1, 1),  # 1.60 times the lowest of the week, not the last
    (105, [(7, 70)], 1, 1),  # seven days to the minute
    (105, [(7 + HOUR, 70)], 0, 1),  # an hour more: the median alone
    (90, [(2, 180)], 0, 0),  # it falls
]


def stages(now: object, *before: object) -> tuple[int, int]:
    past = Past(rows_of(*before)) if before else Past()
    found = interpreted(panel.read(document(now)), past=past).findings
    kdigo = [STAGES[each.risk_id] for each in found.risks if each.risk_id in STAGES]
    nhs = [int(each.value) for each in found.scores if each.score_id == "nhs-aki"]
    assert len(kdigo) <= 1 and len(nhs) <= 1
    return (kdigo or [0])[0], (nhs or [0])[0]


@pytest.mark.requirement("DX-LAB-122")
@pytest.mark.parametrize(("now", "before", "kdigo", "nhs"), CASES)
def test_stages_over_cases_are_those_of_a_hand_calculation(
    now: float, before: list[tuple[float, float]], kdigo: int, nhs: int
) -> None:
    newest = observation(CREATININE, now)
    earlier = [observation(CREATININE, v, -24 * days) for days, v in before]
    assert stages(newest, *earlier) == (kdigo, nhs)


@pytest.mark.requirement("DX-LAB-122")
@pytest.mark.parametrize(
    ("now", "before", "kdigo", "nhs"),
    [
        ("1.35", "0.9", 1, 1),  # 1.500 times: 119.34 and 79.56 µmol/L
        ("1.34", "0.9", 0, 0),  # 1.489
        ("1.8", "0.9", 2, 2),
        ("1.5", "1.0", 1, 1),
    ],
)
def test_an_earlier_case_counts_by_its_value_not_by_what_is_shown_of_it(
    now: str, before: str, kdigo: int, nhs: int
) -> None:
    def of(text: str, hours: float) -> dict[str, object]:
        made = observation(CREATININE, 1, hours)
        quantity = {"value": float(text), "unit": "mg/dL"}
        code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
        return made | {"valueQuantity": quantity, "code": code, "id": f"c{hours:g}"}

    assert stages(of(now, 0), of(before, -72)) == (kdigo, nhs)


@pytest.mark.requirement("DX-LAB-122")
def test_a_month_of_daily_results_does_not_push_out_the_baseline() -> None:
    parts = []
    for day in [-200, -150, -100, *range(-40, 0)]:
        value = 80 if day < -50 else 160
        rows = rows_of(observation(CREATININE, value, 24 * day))
        parts.append(Kept(f"c{day}", "labs-1", START + timedelta(days=day), tuple(rows)))
    kept = bounded(parts, Bounds(24, 730), START)
    values = [row.value for each in kept for row in each.rows]
    assert values.count("80") >= 2 and 24 <= len(values) <= 32
