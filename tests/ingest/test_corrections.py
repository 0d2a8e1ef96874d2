"""A later message that corrects, cancels or changes a result says so of the case it was in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxmesh.event.v1.case_received_pb2 import (
    CORRECTION_KIND_CHANGED,
    CORRECTION_KIND_WITHDRAWN,
)
from sqlalchemy import text

from services.anonymization import submission as anonymized
from services.anonymization.pseudonyms import Pseudonyms
from services.ingest import corrections, submission
from services.ingest.csv_results import convert, rows
from services.ingest.hl7v2.convert import Origin
from services.ingest.hl7v2.site import Site
from services.ingest.limits import Defaults
from services.kernel.crypto import KeyedHash
from tests.ingest.laboratory import Laboratory, obx, told
from tests.ingest.oru import NOW, OBR, PID, WBC, msh, names, oru, read, resources

CHANGED, WITHDRAWN = CORRECTION_KIND_CHANGED, CORRECTION_KIND_WITHDRAWN


@pytest.fixture
def laboratory(sqlite_world: Any) -> Laboratory:
    return Laboratory(sqlite_world)


CORRECTIONS = [
    (obx("6.8"), obx("4.1", "C"), CHANGED),
    (obx("6.8"), obx("4.1"), CHANGED),  # the same order and code with another value
    (obx("6.8", "P"), obx("4.1"), CHANGED),
    (obx("6.8"), obx("6.8", "C"), CHANGED),  # something else of it was corrected
    (obx("6.8"), obx("", "X"), WITHDRAWN),
    (obx("6.8"), obx("6.8", "D"), WITHDRAWN),
    (obx("6.8"), obx("6.8", "W"), WITHDRAWN),
    (obx("6.8"), obx("4.1", "C", time="20261126091000"), CHANGED),  # its time too
    (obx("6.8", sub="7"), obx("4.1", "C", sub="1"), CHANGED),
]
NONE = [
    (obx("6.8"), obx("6.8")),  # sent again
    (obx("6.80"), obx("6.8")),
    (obx("", "I"), obx("6.8")),  # completed
    (obx("6.8"), obx("4.1", time="20261126120500")),  # the next of a series
    (obx("6.8", sub="1"), obx("4.1", sub="2")),
    (obx("", "X"), obx("", "X")),
]


@pytest.mark.requirement("DX-HL7-09")
async def test_a_later_message_names_the_case_that_it_corrects(laboratory: Laboratory) -> None:
    for number, (first, then, kind) in enumerate(CORRECTIONS):
        own = OBR.replace("F1^LIS", f"F{number}0^LIS")
        one = await laboratory.send(WBC, first, obr=own)
        two = await laboratory.send(then, obr=own)
        assert told(one) == []
        assert told(two) == [(one.case.case_id, two.case.case_id, kind)], then


@pytest.mark.requirement("DX-HL7-09")
async def test_what_is_no_correction_says_nothing(laboratory: Laboratory) -> None:
    for number, (first, then) in enumerate(NONE):
        own = OBR.replace("F1^LIS", f"F{number}1^LIS")
        await laboratory.send(first, obr=own)
        assert told(await laboratory.send(then, obr=own)) == [], then


@pytest.mark.requirement("DX-HL7-09")
async def test_another_order_or_patient_is_another_result(laboratory: Laboratory) -> None:
    await laboratory.send(obx("6.8"))
    other = await laboratory.send(obx("4.1", "C"), obr=OBR.replace("F1^LIS", "F2^LIS"))
    assert told(other) == []
    stranger = await laboratory.send(obx("4.1", "C"), pid=PID.replace("MRN0042917", "MRN9"))
    assert told(stranger) == []


@pytest.mark.requirement("DX-HL7-09")
async def test_a_first_result_that_comes_after_its_correction_is_the_one_that_falls(
    laboratory: Laboratory,
) -> None:
    corrected = await laboratory.send(obx("4.1", "C"))
    late = await laboratory.send(obx("6.8"))
    assert told(late) == [(late.case.case_id, corrected.case.case_id, CHANGED)]


@pytest.mark.requirement("DX-HL7-09")
async def test_a_chain_of_corrections_names_every_case_before(laboratory: Laboratory) -> None:
    one = await laboratory.send(obx("6.8"))
    two = await laboratory.send(obx("4.1", "C"))
    three = await laboratory.send(obx("4.3", "C"))
    before = [one.case.case_id, two.case.case_id]
    assert [each[0] for each in told(three)] == before


@pytest.mark.requirement("DX-HL7-09")
async def test_results_of_a_stopped_case_are_forgotten(
    laboratory: Laboratory, sqlite_world: Any
) -> None:
    one = await laboratory.send(obx("6.8"))
    await sqlite_world.worker.stopped(one)
    assert told(await laboratory.send(obx("4.1", "C"))) == []
    sqlite_world.later(days=400)
    await sqlite_world.worker.sweep()
    async with sqlite_world.engine.connect() as connection:
        left = await connection.execute(text("SELECT count(*) FROM ingest_results"))
        assert left.scalar_one() == 0


@pytest.mark.requirement("DX-HL7-05")
async def test_a_message_whose_case_was_stopped_is_not_said_to_be_kept(
    laboratory: Laboratory, sqlite_world: Any
) -> None:
    event = await laboratory.send(obx("6.8"))
    again = oru(obx("6.8"), head=msh("M1")).encode()
    assert b"MSA|AA|M1" in await laboratory.receiver.answer(again, "127.0.0.1")
    await sqlite_world.worker.stopped(event)
    answer = await laboratory.receiver.answer(again, "127.0.0.1")
    assert b"MSA|AR|M1" in answer and b"CASE_WAS_STOPPED" in answer


@pytest.mark.requirement("DX-HL7-09")
async def test_what_is_kept_of_results_names_nobody(
    laboratory: Laboratory, sqlite_world: Any
) -> None:
    await laboratory.send(obx("6.8"))
    async with sqlite_world.engine.connect() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM ingest_results"))).mappings()
    for name in ("result_key", "place_key", "value_key", "reference_key"):
        assert len(row[name]) == 64 and set(row[name]) <= set("0123456789abcdef")


@pytest.mark.requirement("DX-HL7-09")
def test_the_references_are_those_that_the_report_rests_on() -> None:
    (result,) = resources(oru(obx("6.8", sub="2")), "Observation")
    entries = [(f"Observation/{result['id']}", "", result)]
    (known,) = corrections.stated(entries)
    assert known.reference == f"Observation/{result['id']}"
    assert result["extension"] == [{"url": corrections.SUB_ID, "valueString": "2"}]


@pytest.mark.requirement("DX-HL7-09")
def test_rows_of_a_file_are_known_by_their_own_order() -> None:
    """One file has two orders, a later one a single row of them, corrected."""

    def known(*lines: str) -> list[tuple[str, ...]]:
        content = "\n".join(("patient id,order id,code,code system,value,time", *lines)).encode()
        file = rows.read(content)
        made = convert.results(content, file, file.patients[0], Origin(Site(), names, NOW, ""))
        entries = json.loads(made.bundle)["entry"]
        named = [
            (f"{r['resourceType']}/{r['id']}", "", r) for r in (e["resource"] for e in entries)
        ]
        return [each.name for each in corrections.stated(named)]

    first = known("M,A1,2823-3,LN,6.8,2026-11-26 08:00", "M,A2,2951-2,LN,140,2026-11-26 08:00")
    assert known("M,A1,2823-3,LN,4.1,2026-11-26 08:00") == [first[0]]
    assert len(set(first)) == 2


@pytest.mark.requirement("DX-HL7-09")
def test_ingest_and_the_report_mean_the_same_by_a_reference() -> None:
    made = read(oru(WBC, obx("6.8"), obx("6.9", sub="2")))
    mine = submission.read(made.bundle, Defaults(recipient="us"), made)
    analysed = anonymized.read(made.bundle)
    hidden = Pseudonyms(KeyedHash(b"k" * 32), "subject")
    _, references = anonymized.labs_part(analysed, analysed.known, hidden, {})
    assert sorted(references.values()) == sorted(each.reference for each in mine.results)
