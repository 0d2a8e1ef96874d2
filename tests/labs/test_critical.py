"""What is critical at which age, what of it is told ahead of the report, and the event."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS, CaseRef
from dxmesh.event.v1.critical_found_pb2 import (
    CRITICAL_DIRECTION_HIGH,
    CRITICAL_DIRECTION_LOW,
    CriticalFound,
)
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.labs.v1.lab_findings_pb2 import FLAG_CRITICAL_HIGH, LabFindings

from services.kernel import subjects
from services.kernel.errors import Forbidden, InvalidInput
from services.kernel.testing import MemoryBus, memory_blobs
from services.labs import critical, panel
from services.labs.interpret import Flag, interpret
from services.labs.notices import notices, retracted
from services.labs.panel import Subject
from services.labs.worker import LabsWorker, read_limits

MAN_62 = {"sex": "male", "age_years": 62}
LOINC = {"k": "2823-3", "glucose": "14749-6", "na": "2951-2", "hgb": "718-7"}


def observation(
    value: float, analyte: str = "k", unit: str = "mmol/L", **changes: Any
) -> dict[str, Any]:
    return {
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": LOINC[analyte]}]},
        "valueQuantity": {"value": value, "unit": unit},
    } | changes


def part(subject: object, *observations: object) -> bytes:
    return json.dumps({"subject": subject, "observations": observations}).encode()


def told(
    content: bytes,
    table: critical.Table = critical.DEFAULTS,
    earlier: critical.Earlier | None = None,
) -> list[tuple[str, bool, str]]:
    read = panel.read(content)
    results = interpret(read.measured, read.subject, table)
    found = notices(results, read.subject, table, earlier)
    return [(n.result.measured.observation_id, n.high, str(n.limit)) for n in found]


def rows(*lines: str) -> list[dict[str, str]]:
    names = ("analyte", "unit", "low", "high", "age_from", "age_to", "sex", "first_only_h")
    return [dict(zip(names, line.split("|"), strict=True)) for line in lines]


@pytest.mark.requirement("DX-CRI-01")
@pytest.mark.parametrize(
    ("age", "analyte", "value", "flag"),
    [
        ({"age_years": 62}, "k", 6.3, Flag.CRITICAL_HIGH),
        ({"age_years": 3}, "k", 6.3, None),
        ({"age_years": 3}, "k", 6.5, Flag.CRITICAL_HIGH),
        ({"age_years": 0.0}, "k", 7.5, None),
        ({"age_years": 0.0}, "k", 7.9, Flag.CRITICAL_HIGH),
        ({"age_years": 0.0}, "glucose", 2.0, None),
        ({"age_years": 0.1, "age_days": 27}, "glucose", 2.0, None),
        ({"age_years": 0.1, "age_days": 28}, "glucose", 2.0, Flag.CRITICAL_LOW),
        ({"age_years": 0.1}, "glucose", 2.0, Flag.CRITICAL_LOW),
        ({"age_years": 17.9}, "na", 157, Flag.CRITICAL_HIGH),
        ({"age_years": 18}, "na", 157, Flag.HIGH),
    ],
)
def test_the_limits_of_the_persons_age_count(
    age: dict[str, float], analyte: str, value: float, flag: Flag | None
) -> None:
    read = panel.read(part({"sex": "female", **age}, observation(value, analyte)))
    (result,) = interpret(read.measured, read.subject)
    assert result.flag is flag
    assert not flag or result.critical is bool(result.critical_source)


@pytest.mark.requirement("DX-CRI-01")
def test_what_no_survey_gives_for_children_is_not_critical_in_a_child() -> None:
    assert critical.limits_for("urate", Subject(age_years=3), critical.DEFAULTS) is None
    assert critical.limits_for("plt", Subject(age_years=0.0), critical.DEFAULTS) is None


@pytest.mark.requirement("DX-CRI-01")
def test_a_tenants_rows_go_before_and_leave_no_age_without_limits() -> None:
    own = critical.load(rows("k|mmol/L|3|6|0d|14y||", "hgb|g/L|70||18y||female|"))
    table = critical.before(own)

    def limits(analyte: str, age: float, sex: str = "unknown") -> tuple[str, str]:
        found = critical.limits_for(analyte, Subject(sex, age), table)
        assert found
        return str(found.low), str(found.high)

    high = {age: limits("k", age)[1] for age in (0.0, 3, 15, 40)}
    assert high == {0.0: "6", 3: "6", 15: "6.4", 40: "6.2"}
    assert limits("hgb", 40, "female") == ("70", "None")
    assert limits("hgb", 40, "male") == ("66", "199")


@pytest.mark.requirement("DX-CRI-01")
@pytest.mark.parametrize(
    "line",
    [
        "k|mmol/L|3|6|18|||",
        "k|mmol/L|3|6|18y|1y||",
        "k|mmol/L|3|6|||boy|",
        "k|mmol/L|3|6||||-1",
        "k|mmol/L|3|6||||nan",
        "k|mmol/L|3|6||||often",
    ],
)
def test_a_row_that_cannot_be_used_is_named(line: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        critical.load(rows(line))
    assert refused.value.violations[0].path == "row 1"


@pytest.mark.requirement("DX-CRI-01")
def test_two_rows_for_one_person_are_refused() -> None:
    critical.load(rows("k|mmol/L|3|6|0d|28d||", "k|mmol/L|3|6|28d|18y||"))
    with pytest.raises(InvalidInput) as refused:
        critical.load(rows("k|mmol/L|3|6|0d|29d||", "k|mmol/L|3|7|28d|18y||"))
    assert [(v.path, v.problem) for v in refused.value.violations] == [("row 2", "Overlap")]


class Known:
    """Earlier results: (analyte, high, time)."""

    def __init__(self, *known: tuple[str, bool, str]) -> None:
        self.known = [(name, high, datetime.fromisoformat(time)) for name, high, time in known]

    def critical_times(self, analyte_id: str, *, high: bool, before: datetime) -> list[datetime]:
        known = self.known
        return [t for name, side, t in known if (name, side) == (analyte_id, high) and t < before]


FIRST_ONLY = critical.before(critical.load(rows("k|mmol/L|3|6||||24")))


@pytest.mark.requirement("DX-CRI-02")
@pytest.mark.parametrize(
    ("known", "again"),
    [
        ([], True),
        ([("k", True, "2026-01-01T20:00:00+00:00")], False),
        ([("k", False, "2026-01-01T20:00:00+00:00")], True),
        ([("na", True, "2026-01-01T20:00:00+00:00")], True),
        ([("k", True, "2025-12-31T07:00:00+00:00")], True),
        ([("k", True, "2026-01-02T09:00:00+00:00")], True),
        # The second was held back by the first, so that one, 30 hours old, is the last that was
        # told: a value that stays critical is told again.
        (
            [("k", True, "2026-01-01T14:00:00+00:00"), ("k", True, "2026-01-01T02:00:00+00:00")],
            True,
        ),
        (
            [("k", True, "2026-01-01T14:00:00+00:00"), ("k", True, "2025-12-31T02:00:00+00:00")],
            False,
        ),
    ],
)
def test_first_time_only_looks_at_the_side_and_the_hours_before(
    known: list[tuple[str, bool, str]], again: bool
) -> None:
    content = part(MAN_62, observation(6.5, effectiveDateTime="2026-01-02T08:00:00Z"))
    assert bool(told(content, FIRST_ONLY, Known(*known))) is again
    assert told(content, critical.DEFAULTS, Known(*known))  # the default tells every time


@pytest.mark.requirement("DX-CRI-02")
def test_first_time_only_within_one_part_tells_the_earliest() -> None:
    content = part(
        MAN_62,
        observation(6.9, id="late", effectiveDateTime="2026-01-02T12:00:00Z"),
        observation(6.5, id="early", effectiveDateTime="2026-01-02T08:00:00Z"),
        observation(2.4, id="low", effectiveDateTime="2026-01-02T10:00:00Z"),
    )
    assert [name for name, _, _ in told(content, FIRST_ONLY)] == ["early", "low"]


@pytest.mark.requirement("DX-CRI-02")
@pytest.mark.parametrize("time", ["", "2026-01-02", "yesterday", "2026-13-45T00:00:00"])
def test_without_a_time_of_day_nothing_is_held_back(time: str) -> None:
    made = [observation(6.5, id=name, effectiveDateTime=time) for name in ("a", "b")]
    content = part(MAN_62, *made)
    assert [name for name, _, _ in told(content, FIRST_ONLY)] == ["a", "b"]


@pytest.mark.requirement("DX-CRI-07")
@pytest.mark.parametrize("status", ["corrected", "amended", "cancelled", "entered-in-error"])
@pytest.mark.parametrize("value", [4.1, 7.1])
def test_the_earlier_value_of_a_corrected_result_is_taken_back(status: str, value: float) -> None:
    read = panel.read(part(MAN_62, observation(value, status=status), observation(6.9, id="o2")))
    assert retracted(interpret(read.measured, read.subject)) == ["o1"]


async def handled(
    content: bytes, bus: MemoryBus, tmp_path: Path | None = None
) -> tuple[list[CriticalFound], LabFindings]:
    blobs = memory_blobs()
    ref = await blobs.put("demo", "case-1", "parts/labs-1", content)
    event = PartReady(case=CaseRef(tenant="demo", case_id="case-1"), part_id="labs-1")
    event.kind = PART_KIND_LABS
    event.blobs.append(ref)
    worker = LabsWorker(bus, blobs, read_limits(tmp_path) if tmp_path else None)
    await worker.handle(event)
    await worker.handle(event)
    (ready,) = bus.published(subjects.FINDING_LABS)
    return (
        bus.published(subjects.FINDING_CRITICAL),
        LabFindings.FromString(await blobs.get("demo", ready.findings)),
    )


class Ordered(MemoryBus):
    """Notes the order in which topics were published; may refuse one."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__()
        self.order: list[str] = []
        self.refuses = refuses

    async def publish(self, topic: subjects.Topic, event: Any, *, message_id: str) -> None:
        if topic.name == self.refuses:
            raise Forbidden("the bus refuses it")
        self.order.append(topic.name)
        await super().publish(topic, event, message_id=message_id)


@pytest.mark.requirement("DX-CRI-03")
async def test_critical_results_go_out_before_the_findings_and_hold_no_value() -> None:
    bus = Ordered()
    low = observation(2.1, "glucose", id="o2")
    ((event,), found) = await handled(part(MAN_62, observation(6.87654), low), bus)
    assert bus.order[:2] == ["finding.critical", "finding.labs"]
    assert [(r.result_id, r.direction, r.limit, r.limit_unit) for r in event.results] == [
        ("o1", CRITICAL_DIRECTION_HIGH, "6.2", "mmol/L"),
        ("o2", CRITICAL_DIRECTION_LOW, "2.6", "mmol/L"),
    ]
    assert all("JAMA" in r.limit_source for r in event.results)
    assert found.results[0].flag == FLAG_CRITICAL_HIGH
    assert b"6.87654" not in event.SerializeToString()
    assert event.findings.name == "findings/labs-1" and event.found_time.seconds


@pytest.mark.requirement("DX-CRI-07")
async def test_a_part_without_critical_results_says_so_too() -> None:
    ((event,), _) = await handled(part(MAN_62, observation(4.1)), Ordered())
    assert not event.results and not event.retracted_ids


@pytest.mark.requirement("DX-CRI-03")
async def test_a_bus_that_refuses_the_event_does_not_cost_the_report_its_results() -> None:
    bus = Ordered(refuses="finding.critical")
    events, found = await handled(part(MAN_62, observation(6.8)), bus)
    assert not events and found.results[0].flag == FLAG_CRITICAL_HIGH


@pytest.mark.requirement("DX-CRI-01")
@pytest.mark.parametrize("loinc", ["11558-4", "2744-1", "2746-6"])
def test_a_ph_is_critical_wherever_the_blood_came_from(loinc: str) -> None:
    low = observation(6.9, unit="[pH]")
    low["code"]["coding"][0]["code"] = loinc
    assert [high for _, high, _ in told(part(MAN_62, low))] == [False]
