"""What is kept ends: at its age also for a patient who never returns, and at its size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter

import obstore
import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef

from services.kernel.errors import KeyDestroyed
from services.labs.history.document import Bounds
from services.labs.history.past import Past
from services.labs.store import History
from tests.labs.history_cases import (
    CREATININE,
    POTASSIUM,
    START,
    SUBJECT,
    Ward,
    earlier,
    observation,
    rows_of,
)

pytestmark = pytest.mark.requirement("DX-LAB-121")
TWO_YEARS = Bounds(24, 730)
SCOPE = f"history.{SUBJECT}.0"


def at(days: float) -> datetime:
    """Return a time some days after the start."""
    return START + timedelta(days=days)


async def keep(ward: Ward, days: float, *results: object, subject: str = SUBJECT) -> None:
    part = await ward.part(f"case-{days:g}", received_h=days * 24, subject=subject)
    history = ward.history()
    await history.keep(await history.page(part), part, rows_of(*results), [])


async def kept(ward: Ward) -> list[str]:
    page = await ward.history().page(await ward.part("asks", received_h=24 * 9_000))
    return [row.value for each in (page.parts if page else ()) for row in each.rows]


async def test_of_a_patient_who_never_returns_all_goes_at_its_age() -> None:
    ward = Ward()
    await keep(ward, 0, observation(CREATININE, 80))
    (name,) = await ward.blobs.names("demo", SCOPE)
    sweep = History(ward.blobs, TWO_YEARS)
    assert await sweep.purge(at(729)) == 0
    assert await kept(ward) == ["80"]
    assert await sweep.purge(at(731)) == 1
    with pytest.raises(KeyDestroyed):
        await ward.blobs.get("demo", BlobRef(scope=SCOPE, name=name))
    assert await ward.blobs.names("demo", SCOPE) == []
    assert await sweep.purge(at(732)) == 0
    await keep(ward, 740, observation(CREATININE, 90, 24 * 740))  # and the patient may come again
    assert await kept(ward) == ["90"]


async def test_what_is_younger_stays_of_the_same_patient_and_of_others() -> None:
    ward, other = Ward(), "S" + "f" * 24
    await keep(ward, 0, observation(CREATININE, 80))
    await keep(ward, 400, observation(CREATININE, 90, 24 * 400))
    await keep(ward, 500, observation(CREATININE, 70, 24 * 500), subject=other)
    assert await History(ward.blobs, TWO_YEARS).purge(at(800)) == 1
    assert await kept(ward) == ["90"]
    assert await ward.blobs.names("demo", f"history.{other}.0")


async def test_a_withdrawal_is_remembered_until_nothing_can_be_delivered_again() -> None:
    ward = Ward()
    await keep(ward, 0, observation(CREATININE, 80))
    await ward.start()
    await ward.forget(24)
    sweep = History(ward.blobs, TWO_YEARS)
    assert await sweep.purge(at(20)) == 0
    await keep(ward, 0.5, observation(CREATININE, 81))  # received before the withdrawal
    assert await kept(ward) == []
    assert await sweep.purge(at(100)) == 1
    assert await ward.blobs.names("demo", f"history.{SUBJECT}.1") == []


async def test_rows_of_a_stopped_case_leave_the_document_too() -> None:
    ward = Ward()
    await keep(ward, 0, observation(CREATININE, 80))
    await keep(ward, 1, observation(CREATININE, 90, 24 * 1))
    await ward.blobs.destroy("demo", "case-0")
    sweep = History(ward.blobs, TWO_YEARS)
    assert [await sweep.purge(at(2)), await sweep.purge(at(2))] == [1, 0]
    assert await kept(ward) == ["90"]


async def test_a_history_that_is_switched_off_goes() -> None:
    ward = Ward()
    await keep(ward, 0, observation(CREATININE, 80))
    assert await History(ward.blobs, Bounds(0, 730)).purge(at(1)) == 1
    assert await ward.blobs.names("demo", SCOPE) == []


async def test_one_damaged_document_does_not_keep_the_others() -> None:
    ward, other = Ward(), "S" + "f" * 24
    await keep(ward, 0, observation(CREATININE, 80))
    await keep(ward, 0, observation(CREATININE, 70), subject=other)
    obstore.put(ward.blobs._store, f"blobs/demo/{SCOPE}/00000002", b"DXB1 broken")
    assert await History(ward.blobs, TWO_YEARS).purge(at(800)) == 1
    assert await ward.blobs.names("demo", f"history.{other}.0") == []


async def test_cases_themselves_are_left_alone() -> None:
    ward = await Ward().start()
    await ward.send(await ward.part("case-1", observation(CREATININE, 80)))
    await History(ward.blobs, TWO_YEARS).purge(datetime.now(UTC) + timedelta(days=9_000))
    assert set(await ward.blobs.names("demo", "case-1")) >= {"part", "findings/labs-1"}


async def test_what_is_past_its_age_is_not_read_even_before_it_is_swept() -> None:
    ward = Ward()
    await keep(ward, 0, observation(CREATININE, 80))
    await keep(ward, 100, observation(CREATININE, 85, 24 * 100))
    history = History(ward.blobs, TWO_YEARS)
    part = await ward.part("case-9", received_h=24 * 800)
    past = history.before(await history.page(part), part)
    assert [row.value for row in past.before("creatinine", "umol/L", 9e9)] == ["85"]


async def test_ten_thousand_results_of_a_patient_are_bounded_and_soon_found() -> None:
    ward = Ward()
    day = {"effectiveDateTime": "2026-03-01"}
    same_day = rows_of(
        *(observation(POTASSIUM, 3 + n / 1000, id=f"k{n}", **day) for n in range(900))
    )
    many = rows_of(*(observation(CREATININE, 60 + n / 100, n / 10) for n in range(100))) * 91
    history = History(ward.blobs, TWO_YEARS)
    for number in range(2):
        part = await ward.part(f"case-{number}", received_h=number)
        rows = same_day + many[number::2]
        await history.keep(await history.page(part), part, rows, [])
    last = await ward.part("last", received_h=99)
    began = perf_counter()
    past = history.before(await history.page(last), last)
    found = {
        name: list(past.before(name, unit, 9e9))
        for name, unit in (("k", "mmol/L"), ("creatinine", "umol/L"))
    }
    assert perf_counter() - began < 0.5
    assert [len(each) for each in found.values()] == [24, 24]
    assert isinstance(past, Past)
    (name,) = await ward.blobs.names("demo", SCOPE)
    assert len(await ward.blobs.get("demo", BlobRef(scope=SCOPE, name=name))) < 20_000


async def test_the_newest_of_one_day_are_those_that_came_last() -> None:
    ward = await Ward().start()
    day = {"effectiveDateTime": "2026-03-01"}
    for number in range(4):
        part = await ward.part(
            f"c-{number}", observation(CREATININE, 80 + number, **day), received_h=number
        )
        await History(ward.blobs, Bounds(2, 36_500)).keep(
            await ward.history().page(part),
            part,
            rows_of(observation(CREATININE, 80 + number, **day)),
            [],
        )
    later = await ward.part("c-9", observation(CREATININE, 99, 72), received_h=72)
    assert sorted(earlier(await ward.send(later))) == ["82", "83"]
