"""Two cases of one patient at once, a withdrawal in the midst, results that come out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import obstore
import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings

from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.testing import memory_blobs
from services.labs.history.rows import FIELDS, read, written
from services.labs.store import History
from services.labs.worker import LabsWorker
from tests.labs.history_cases import (
    BOUNDS,
    CREATININE,
    POTASSIUM,
    SUBJECT,
    Ward,
    earlier,
    observation,
    rows_of,
)

pytestmark = pytest.mark.requirement("DX-LAB-120")


class Disturbed(Blobs):
    """Blobs that let something happen before a history is opened, or before one is written."""

    reading: Callable[[], Awaitable[object]] | None = None
    writing: Callable[[], Awaitable[object]] | None = None

    async def get(self, tenant: str, ref: BlobRef) -> bytes:
        if ref.scope.startswith("history.") and (what := self.reading):
            self.reading = None
            await what()
        return await super().get(tenant, ref)

    async def put(self, tenant: str, scope: str, *rest: Any, **more: Any) -> BlobRef:
        if scope.startswith("history.") and (what := self.writing):
            self.writing = None
            await what()
        return await super().put(tenant, scope, *rest, **more)


@pytest.fixture
async def ward() -> Ward:
    plain = memory_blobs()
    return await Ward(Disturbed(plain._store, plain.vault)).start()


def found_by(ward: Ward) -> list[tuple[str, list[Any]]]:
    """Return case and findings reference of what was announced to the report."""
    ready = ward.bus.published(subjects.FINDING_LABS)
    return [(each.case.case_id, each.findings) for each in ready]


async def last_found(ward: Ward, case_id: str) -> LabFindings:
    """Return the findings that the report was told of."""
    ref = [ref for case, ref in found_by(ward) if case == case_id][-1]
    return LabFindings.FromString(await ward.blobs.get("demo", ref))


def reasons(found: LabFindings) -> list[str]:
    return [each.reason for each in found.results[0].remarks]


async def test_a_withdrawal_in_the_midst_costs_history_and_never_the_part(ward: Ward) -> None:
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    part = await ward.part("case-2", observation(POTASSIUM, 7.1, 24), received_h=24)
    blobs = ward.blobs
    assert isinstance(blobs, Disturbed)
    blobs.reading = lambda: ward.forget(12)
    await ward.send(part)
    assert [case for case, _ in found_by(ward)] == ["case-1", "case-2"]
    told = ward.bus.published(subjects.FINDING_CRITICAL)
    assert [len(each.results) for each in told] == [0, 1]


async def test_the_later_case_of_two_at_once_is_compared_with_the_earlier(ward: Ward) -> None:
    first = await ward.part("case-1", observation(CREATININE, 80))
    second = await ward.part("case-2", observation(CREATININE, 170, 24), received_h=24)
    blobs = ward.blobs
    assert isinstance(blobs, Disturbed)
    blobs.writing = lambda: ward.send(first)  # the first is kept while the second is interpreted
    await ward.send(second)
    found = await last_found(ward, "case-2")
    assert earlier(found) == ["80"]
    assert any(each.risk_id == "aki-stage-2" for each in found.risks)
    assert not reasons(found)


async def test_what_was_told_at_once_can_still_be_read_when_the_findings_are_made_anew(
    ward: Ward,
) -> None:
    first = await ward.part("case-1", observation(POTASSIUM, 4.0))
    second = await ward.part("case-2", observation(POTASSIUM, 7.1, 24), received_h=24)
    blobs = ward.blobs
    assert isinstance(blobs, Disturbed)
    blobs.writing = lambda: ward.send(first)
    await ward.send(second)
    told = ward.bus.published(subjects.FINDING_CRITICAL)
    assert [(each.case.case_id, len(each.results)) for each in told] == [
        ("case-2", 1),
        ("case-1", 0),
    ]
    for each in told:
        await ward.blobs.get("demo", each.findings)  # not damaged: it is what was told


async def test_the_earlier_case_of_two_at_once_says_what_it_was_not_compared_with(
    ward: Ward,
) -> None:
    first = await ward.part("case-1", observation(CREATININE, 80))
    second = await ward.part("case-2", observation(CREATININE, 170, 24), received_h=24)
    blobs = ward.blobs
    assert isinstance(blobs, Disturbed)
    blobs.writing = lambda: ward.send(second)
    await ward.send(first)
    assert earlier(await last_found(ward, "case-2")) == []
    found = await last_found(ward, "case-1")
    assert reasons(found) == ["NEWER_RESULT_KNOWN"]
    assert dict(found.results[0].remarks[0].facts) == {
        "value": "170",
        "unit": "umol/L",
        "hours_later": "24",
    }


async def test_an_older_result_that_comes_later_says_that_a_newer_one_is_known(ward: Ward) -> None:
    await ward.send(await ward.part("case-1", observation(CREATININE, 90, 48), received_h=48))
    late = await ward.part("case-2", observation(CREATININE, 80, 0), received_h=50)
    await ward.send(late)
    found = await last_found(ward, "case-2")
    assert earlier(found) == [] and reasons(found) == ["NEWER_RESULT_KNOWN"]
    third = await ward.part("case-3", observation(CREATININE, 95, 72), received_h=72)
    assert earlier(await ward.send(third)) == ["90", "80"]


async def test_many_cases_at_once_lose_no_part_and_keep_all(ward: Ward) -> None:
    parts = [
        await ward.part(f"case-{n}", observation(CREATININE, 80 + n, n), received_h=n)
        for n in range(6)
    ]
    workers = [LabsWorker(ward.bus, ward.blobs, history=ward.history()) for _ in parts]
    await asyncio.gather(*(w.handle(p) for w, p in zip(workers, parts, strict=True)))
    assert sorted(case for case, _ in found_by(ward)) == [f"case-{n}" for n in range(6)]
    page = await ward.history().page(await ward.part("last", received_h=50))
    assert page is not None and len(page.parts) == 6


async def test_a_document_that_is_damaged_is_begun_anew(ward: Ward) -> None:
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    scope = f"history.{SUBJECT}.0"
    (name,) = await ward.blobs.names("demo", scope)
    obstore.put(ward.blobs._store, f"blobs/demo/{scope}/{name}", b"DXB1 broken")
    for number, value in ((2, 90), (3, 95)):
        hours = 24 * number
        part = await ward.part(
            f"case-{number}", observation(CREATININE, value, hours), received_h=hours
        )
        found = await ward.send(part)
    assert earlier(found) == ["90"]
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))  # delivered again
    last = await ward.part("case-4", observation(CREATININE, 99, 96), received_h=96)
    assert earlier(await ward.send(last)) == ["95", "90"]


async def test_what_a_newer_release_kept_is_read_by_an_older_one() -> None:
    (row,) = rows_of(observation(CREATININE, 80))
    (kept,) = written([row])
    assert read([[*kept, "of a later release"]]) == [row] and len(kept) == len(FIELDS)


async def test_damage_that_is_found_while_keeping_costs_the_report_nothing(ward: Ward) -> None:
    blobs, scope = ward.blobs, f"history.{SUBJECT}.0"
    assert isinstance(blobs, Disturbed)
    part = await ward.part("case-1", observation(CREATININE, 80))

    async def spoil() -> None:
        obstore.put(blobs._store, f"blobs/demo/{scope}/00000001", b"DXB1 broken")

    blobs.writing = spoil
    await ward.send(part)
    assert [case for case, _ in found_by(ward)] == ["case-1"]
    assert History(blobs, BOUNDS) is not None
