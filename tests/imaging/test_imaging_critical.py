"""Urgent findings on images are announced before pictures, objects and the findings themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dxmesh.event.v1.critical_found_pb2 import CRITICAL_DIRECTION_PRESENT
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging import announcing
from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import Forbidden
from services.kernel.subjects import Topic
from services.kernel.testing import MemoryBus, memory_blobs
from tests.imaging.desk import Desk, Reads, desk, finds, part_of, second

CRITICAL = pytest.mark.requirement("DX-CRI-09")


@pytest.fixture
def blobs() -> Blobs:
    return memory_blobs()


@pytest.fixture
def make(blobs: Blobs, tmp_path: Path, models: Path) -> Callable[..., Desk]:
    return partial(desk, blobs=blobs, scratch=tmp_path, repository=models)


@pytest.fixture(scope="module")
def blank(phantom: ModuleType) -> bytes:
    return bytes(phantom.archive(phantom.blank()))


def listen(bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, refuses: str = "") -> list[str]:
    """Return the names of topics in the order in which they are published from now on."""
    order: list[str] = []
    publish = bus.publish

    async def noted(topic: Topic, event: Any, *, message_id: str) -> None:
        if topic.name == refuses:
            raise Forbidden("the bus refuses it")
        order.append(topic.name)
        await publish(topic, event, message_id=message_id)

    monkeypatch.setattr(bus, "publish", noted)
    return order


@CRITICAL
async def test_what_is_urgent_goes_ahead_and_is_in_its_blob(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = make(Reads(finds()), second(finds(9, urgent=True, kind="haemorrhage")))
    order = listen(at.bus, monkeypatch)
    await at.send(await part_of(blobs, blank), times=2)
    assert order.index("finding.critical") < order.index("finding.imaging")
    (event,) = at.bus.published(subjects.FINDING_CRITICAL)
    (result,) = event.results
    assert (result.result_id, result.direction) == ("haemorrhage-1", CRITICAL_DIRECTION_PRESENT)
    kept = pb.ImagingFindings.FromString(await blobs.get("demo", event.findings))
    assert [(each.finding_id, each.kind) for each in kept.findings] == [
        ("haemorrhage-1", "haemorrhage")
    ]


@CRITICAL
async def test_without_anything_urgent_the_event_withdraws(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at = make(Reads(finds()))
    await at.send(await part_of(blobs, blank))
    (event,) = at.bus.published(subjects.FINDING_CRITICAL)
    assert not event.results and event.part_id == "imaging-1"


@CRITICAL
async def test_a_bus_that_refuses_it_does_not_cost_the_report_its_findings(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = make(Reads(finds(urgent=True)))
    listen(at.bus, monkeypatch, refuses="finding.critical")
    assert len(await at.send(await part_of(blobs, blank))) == 1


@CRITICAL
def test_an_urgent_answer_counts_where_no_finding_says_it() -> None:
    found = pb.ImagingFindings()
    one = found.findings.add(finding_id="haemorrhage-1", urgent=True)
    one.function, one.place.series_instance_uid = pb.FUNCTION_HAEMORRHAGE, "2.25.1"
    for series in ("2.25.1", "2.25.2"):
        found.answers.add(function=pb.FUNCTION_HAEMORRHAGE, series_instance_uid=series, urgent=True)
    found.answers.add(function=pb.FUNCTION_NODULES, series_instance_uid="2.25.2")
    kept = announcing.urgent(found)
    assert [each.series_instance_uid for each in kept.answers] == ["2.25.2"]
