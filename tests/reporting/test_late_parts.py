"""Late images: their part takes the place of the first one's, in a version of its own."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING

from services.kernel.errors import Unavailable

LATE = "imaging-1.1"


async def late(world: Any) -> None:
    part = ExpectedPart(part_id=LATE, kind=PART_KIND_IMAGING, supersedes="imaging-1")
    event = CaseDeidentified(case=world.case(), parts=[part], supplement=1)
    await world.worker.on_deidentified(event)
    imaging = next(named for part_id, _, named in world.parts if part_id == "imaging-1")
    if all(part_id != LATE for part_id, _, _ in world.parts):
        world.parts = [*world.parts, (LATE, PART_KIND_IMAGING, imaging)]


@pytest.mark.requirement("DX-RCV-06")
async def test_a_supplement_makes_the_next_version_and_its_part_stands_for_the_first(
    world: Any,
) -> None:
    await world.everything()
    before = await world.conclusion()
    await late(world)
    await world.worker.look()
    assert [report.version for report in world.reports()] == [1], "not ended yet"
    await world.completed(len(world.parts) - 1)
    await late(world)
    assert [report.version for report in world.reports()] == [1, 2]
    first, last = await world.bundle(0), await world.bundle(1)
    count = [
        sum(entry["resource"]["resourceType"] == "Observation" for entry in each["entry"])
        for each in (first, last)
    ]
    assert count[0] == count[1], "the same study is not reported twice"
    assert await world.conclusion() == before


@pytest.mark.requirement("DX-RCV-06")
async def test_the_first_part_stands_when_the_late_one_cannot_be_read(world: Any) -> None:
    await world.everything()
    await late(world)
    await world.failed(len(world.parts) - 1)
    conclusion = await world.conclusion()
    assert "结节" in conclusion and "a slice is cut short" in conclusion


@pytest.mark.requirement("DX-RCV-06")
async def test_a_supplement_waits_for_its_case(world: Any) -> None:
    with pytest.raises(Unavailable):
        await late(world)
