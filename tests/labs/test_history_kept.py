"""What is kept of a patient's results: under which key, from which cases, for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import obstore
import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef

from services.kernel import subjects
from services.kernel.errors import Conflict, KeyDestroyed
from services.labs.history.document import Bounds
from services.labs.store import History
from services.labs.worker import LabsWorker, read_limits
from tests.labs.history_cases import (
    CREATININE,
    POTASSIUM,
    SUBJECT,
    Ward,
    earlier,
    observation,
    rows_of,
)

pytestmark = pytest.mark.requirement("DX-LAB-60")


async def first_and_second(ward: Ward, **second: object) -> list[str]:
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    part = await ward.part("case-2", observation(CREATININE, 95, 24), received_h=24, **second)
    return earlier(await ward.send(part))


async def test_a_later_case_finds_the_results_of_an_earlier_one() -> None:
    ward = await Ward().start()
    assert await first_and_second(ward) == ["80"]


async def test_another_patient_or_purpose_finds_nothing() -> None:
    ward = await Ward().start()
    assert await first_and_second(ward, subject="S" + "f" * 24) == []
    ward = await Ward().start()
    assert await first_and_second(ward, keep=False) == []


async def test_what_is_not_for_treatment_is_not_kept() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80), keep=False))
    found = await ward.send(
        await ward.part("case-2", observation(CREATININE, 95, 24), received_h=24)
    )
    assert earlier(found) == []


async def test_a_part_that_comes_again_changes_nothing() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    part = await ward.part("case-2", observation(CREATININE, 95, 24), received_h=24)
    later = await ward.part("case-3", observation(CREATININE, 99, 48), received_h=48)
    first, _, again = await ward.send(part), await ward.send(later), await ward.send(part)
    assert first.SerializeToString() == again.SerializeToString()
    assert earlier(await ward.send(later)) == ["95", "80"]


async def test_replicas_that_keep_at_once_lose_nothing() -> None:
    ward = Ward()

    async def keep(number: int) -> None:
        history, part = ward.history(), await ward.part(f"case-{number}", received_h=number)
        page = await history.page(part)
        rows = rows_of(observation(CREATININE, 80 + number, number))
        await history.keep(page, part, rows, [])

    await asyncio.gather(*(keep(number) for number in range(8)))
    last = await ward.part("last", observation(CREATININE, 100, 50), received_h=50)
    page = await ward.history().page(last)
    assert page is not None
    assert sorted(r.value for each in page.parts for r in each.rows) == [
        f"{80 + n}" for n in range(8)
    ]
    assert len(await ward.blobs.names("demo", page.scope)) == 1


async def test_rows_die_with_the_key_of_their_case() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    await ward.send(await ward.part("case-2", observation(CREATININE, 90, 12), received_h=12))
    await ward.blobs.destroy("demo", "case-1")
    part = await ward.part("case-3", observation(CREATININE, 95, 24), received_h=24)
    assert earlier(await ward.send(part)) == ["90"]


async def test_withdrawal_destroys_everything_received_until_then() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    old = f"history.{SUBJECT}.0"
    (name,) = await ward.blobs.names("demo", old)
    await ward.forget(12)
    with pytest.raises(KeyDestroyed):
        await ward.blobs.get("demo", BlobRef(scope=old, name=name))
    assert not await ward.blobs.names("demo", old)
    late = await ward.part("case-1", observation(CREATININE, 80))
    await ward.send(late)  # delivered again after the withdrawal
    part = await ward.part("case-2", observation(CREATININE, 95, 24), received_h=24)
    assert earlier(await ward.send(part)) == []


async def test_a_new_consent_begins_a_new_history_and_an_old_withdrawal_leaves_it() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    await ward.send(await ward.part("case-2", observation(CREATININE, 90, 24), received_h=24))
    for _ in range(2):  # the second is the same one again
        await ward.forget(12)
    await ward.forget(6)  # an older one that comes late
    part = await ward.part("case-3", observation(CREATININE, 95, 48), received_h=48)
    assert earlier(await ward.send(part)) == ["90"]


async def test_nothing_kept_can_be_read_in_the_store() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 83.25)))
    stored = ward.blobs._store
    content = b""
    for batch in obstore.list(stored):
        for meta in batch:
            content += bytes(obstore.get(stored, meta["path"]).bytes())
    assert b"83.25" not in content and b"creatinine" not in content
    assert b"rows" not in content


async def test_kept_results_are_bounded_by_number_and_age() -> None:
    ward = Ward()
    history = History(ward.blobs, Bounds(3, 36_500))
    for number in range(6):
        part = await ward.part(f"case-{number}", received_h=number)
        rows = rows_of(observation(CREATININE, 80 + number, number))
        await history.keep(await history.page(part), part, rows, [])
    last = await ward.part("last", received_h=99)
    page = await history.page(last)
    assert page is not None
    assert [r.value for each in page.parts for r in each.rows] == ["83", "84", "85"]
    young = History(ward.blobs, Bounds(3, 0))
    await young.keep(page, last, rows_of(observation(CREATININE, 99, 99)), [])
    page = await young.page(last)
    assert page is not None and not [r for each in page.parts for r in each.rows]


async def test_of_two_writers_of_one_name_one_wins() -> None:
    ward = Ward()
    await ward.blobs.put("demo", "scope", "name", b"one", new=True)
    with pytest.raises(Conflict):
        await ward.blobs.put("demo", "scope", "name", b"two", new=True)
    ref = BlobRef(scope="scope", name="name")
    assert await ward.blobs.get("demo", ref) == b"one"


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        ("corrected", 85, ["85"]),
        ("final", 80, ["80"]),  # the same result, sent again with a later case
        ("entered-in-error", 80, []),
        ("cancelled", 80, []),
    ],
)
async def test_a_corrected_result_takes_the_place_of_the_first(
    status: str, value: float, expected: list[str]
) -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    second = observation(CREATININE, value, status=status, id="again")
    await ward.send(await ward.part("case-2", second, received_h=5))
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))  # once more
    part = await ward.part("case-3", observation(CREATININE, 95, 24), received_h=24)
    assert earlier(await ward.send(part)) == expected


async def test_two_results_of_one_day_are_two_unless_one_corrects() -> None:
    ward = await Ward().start()
    day = {"effectiveDateTime": "2026-03-01"}
    await ward.send(await ward.part("case-1", observation(CREATININE, 80, **day)))
    await ward.send(await ward.part("case-2", observation(CREATININE, 84, **day), received_h=1))
    part = await ward.part("case-3", observation(CREATININE, 95, 72), received_h=72)
    assert sorted(earlier(await ward.send(part))) == ["80", "84"]
    fixed = observation(CREATININE, 81, status="corrected", **day)
    await ward.send(await ward.part("case-4", fixed, received_h=73))
    part = await ward.part("case-5", observation(CREATININE, 96, 96), received_h=96)
    assert earlier(await ward.send(part)) == ["95", "81"]


async def test_damaged_history_costs_the_report_nothing() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    stored, scope = ward.blobs._store, f"history.{SUBJECT}.0"
    (name,) = await ward.blobs.names("demo", scope)
    obstore.put(stored, f"blobs/demo/{scope}/{name}", b"DXB1 broken")
    part = await ward.part("case-2", observation(CREATININE, 95, 24), received_h=24)
    found = await ward.send(part)
    assert earlier(found) == [] and found.results[0].canonical_value == "95"


async def test_a_critical_result_of_an_earlier_case_keeps_the_next_from_being_told_again(
    tmp_path: Path,
) -> None:
    head = "analyte\tunit\tlow\thigh\tage_from\tfirst_only_h\tsource"
    (tmp_path / "demo.tsv").write_text(f"{head}\nk\tmmol/L\t2.5\t6.5\t18y\t24\tDemo\n")
    ward = Ward()
    worker = LabsWorker(ward.bus, ward.blobs, read_limits(tmp_path), history=ward.history())
    await worker.start(1)
    for number, (value, hours) in enumerate(((7.0, 0), (7.2, 12), (2.1, 13), (7.1, 40))):
        part = await ward.part(
            f"case-{number}", observation(POTASSIUM, value, hours), received_h=hours
        )
        await ward.send(part)
    told = [len(each.results) for each in ward.bus.published(subjects.FINDING_CRITICAL)]
    assert told == [1, 0, 1, 1]  # again within 24 h; the other side; after 24 h
