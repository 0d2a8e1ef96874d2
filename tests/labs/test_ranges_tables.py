"""The tenant's ranges, trimesters, ages in days and specimens; results from the future."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.errors import InvalidInput
from services.labs import panel, ranges
from services.labs.findings import findings
from services.labs.interpret import Flag, Result, Site, interpret

HEADS = ("analyte", "unit", "sex", "age_from", "age_to", "low", "high", "source", "note")
NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


def row(*cells: str, trimester: str = "", specimen: str = "") -> dict[str, str]:
    return dict(zip(HEADS, cells, strict=False)) | {"trimester": trimester, "specimen": specimen}


def part(subject: dict[str, Any], **changes: Any) -> panel.LabPart:
    observation: dict[str, Any] = {
        "id": "o",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "valueQuantity": {"value": 100, "unit": "g/L"},
    }
    document = {"subject": subject, "observations": [observation | changes]}
    return panel.read(json.dumps(document).encode())


def one(subject: dict[str, Any], site: Site | None = None, **changes: Any) -> Result:
    read = part(subject, **changes)
    (result,) = interpret(read.measured, read.subject, site=site or Site())
    return result


def limits_of(result: Result) -> tuple[str, str, str]:
    assert result.range is not None
    return (f"{result.range.low}", f"{result.range.high}", result.range.source)


WOMAN = {"sex": "female", "age_years": 30}


@pytest.mark.requirement("DX-LDU-06")
@pytest.mark.parametrize(
    ("weeks", "flag"),
    [(8, Flag.LOW), (13, Flag.LOW), (14, Flag.NORMAL), (27, Flag.NORMAL), (30, Flag.NORMAL)],
)
def test_in_pregnancy_the_trimester_counts(weeks: int, flag: Flag) -> None:
    result = one(WOMAN | {"pregnant": True, "gestation_weeks": weeks})
    assert result.flag is flag and "Obstet Gynecol" in limits_of(result)[2]


@pytest.mark.requirement("DX-LDU-06")
def test_without_the_weeks_no_range_is_taken_in_pregnancy() -> None:
    result = one(WOMAN | {"pregnant": True})
    assert result.flag is None and result.reason
    assert result.reason.reason == "NO_RANGE_IN_PREGNANCY"
    assert one(WOMAN).flag is Flag.LOW


@pytest.mark.requirement("DX-LDU-06")
def test_the_tenants_range_goes_between_the_laboratorys_and_the_built_in_one() -> None:
    site = Site(ranges=ranges.load([row("hgb", "g/dL", "F", "18", "", "9.0", "14.0", "", "")]))
    assert limits_of(one(WOMAN, site)) == ("90.0", "140.0", "the tenant's table")
    assert one(WOMAN, site).flag is Flag.NORMAL
    own = [{"low": {"value": 101, "unit": "g/L"}}]
    assert one(WOMAN, site, referenceRange=own).flag is Flag.LOW
    assert limits_of(one({"sex": "male", "age_years": 30}, site))[2].startswith("WS/T")


@pytest.mark.requirement("DX-LDU-06")
@pytest.mark.parametrize(
    ("subject", "low"),
    [
        ({"age_days": 3}, "145"),
        ({"age_days": 27.9}, "145"),
        ({"age_days": 28}, "97"),
        ({"age_years": 0.4}, "97"),
        ({"age_years": 0.6}, "110"),
        ({"age_years": 5.9}, "110"),
    ],
)
def test_children_are_held_to_the_tenants_ranges_by_age(subject: dict[str, Any], low: str) -> None:
    site = Site(
        ranges=ranges.load(
            [
                row("hgb", "g/L", "all", "", "28d", "145", "", "hospital", ""),
                row("hgb", "g/L", "all", "28d", "6mo", "97", "", "hospital", ""),
                row("hgb", "g/L", "all", "6mo", "5", "110", "", "hospital", ""),
            ]
        )
    )
    years = subject.get("age_years", 0)
    assert limits_of(one({"sex": "male", "age_years": years} | subject, site))[0] == low


@pytest.mark.requirement("DX-LDU-06")
def test_a_range_of_the_specimen_goes_before_a_general_one() -> None:
    site = Site(
        ranges=ranges.load(
            [
                row("hgb", "g/L", "all", "18", "", "120", "", "", ""),
                row("hgb", "g/L", "all", "18", "", "99", "", "", "", specimen="capillary"),
            ]
        )
    )
    assert one(WOMAN, site).flag is Flag.LOW
    assert one(WOMAN, site, specimen={"display": "末梢血"}).flag is Flag.NORMAL


@pytest.mark.requirement("DX-LDU-06")
@pytest.mark.parametrize(
    "wrong",
    [
        row("nothing", "g/L", "all", "", "", "1", "2"),
        row("hgb", "mmol/L", "all", "", "", "1", "2"),
        row("hgb", "g/L", "X", "", "", "1", "2"),
        row("hgb", "g/L", "all", "six", "", "1", "2"),
        row("hgb", "g/L", "all", "", "", "3", "2"),
        row("hgb", "g/L", "all", "", "", "", ""),
        row("hgb", "g/L", "all", "", "", "1", "2", trimester="4"),
        row("hgb", "g/L", "all", "", "", "1", "2", specimen="cheese"),
    ],
)
def test_a_wrong_row_is_refused_by_its_number(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        ranges.load([row("hgb", "g/L", "all", "", "", "1", "2"), wrong])
    assert [each.path for each in refused.value.violations] == ["row 2"]


@pytest.mark.requirement("DX-LDU-07")
@pytest.mark.parametrize(
    ("effective", "future"),
    [
        ("2026-11-26T07:00:00Z", False),
        ("2026-11-26T16:05:00+08:00", False),
        ("2026-11-26T17:00:00+08:00", True),
        ("2026-11-26T17:00:00", False),
        ("2026-11-27", True),
        ("2026-11-26", False),
        ("2027-01-01", True),
        ("nonsense", False),
    ],
)
def test_a_result_from_the_future_says_so(effective: str, future: bool) -> None:
    (found,) = findings(part(WOMAN, effectiveDateTime=effective), now=NOW).results
    assert [each.reason for each in found.remarks] == ["RESULT_IN_FUTURE"] * future
    assert found.flag == pb.FLAG_LOW


@pytest.mark.requirement("DX-LDU-07")
def test_a_result_from_the_future_reaches_no_rule_and_no_score() -> None:
    woman = WOMAN | {"age_years": 60}
    value = {"value": 60, "unit": "g/L"}
    today = findings(part(woman, valueQuantity=value, effectiveDateTime="2026-11-26"), now=NOW)
    later = findings(part(woman, valueQuantity=value, effectiveDateTime="2027-11-26"), now=NOW)
    assert today.risks and not later.risks and not later.scores
    assert later.results[0].flag == pb.FLAG_CRITICAL_LOW
