"""QIDO-RS: what is searched for is found by what the images say, without reading an archive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from services.gateway.dicomweb import archive, matching, query
from services.kernel.errors import InvalidInput
from tests.gateway.dicomweb.conftest import BASE, OF_SERIES, OF_STUDY
from tests.gateway.dicomweb.images import NAME, PATIENT_ID, SERIES, STUDY, hold, made

SECOND = "1.2.826.0.1.77.2"


async def uids(world: Any, path: str, tag: str = "0020000D") -> list[str]:
    answer = await world.get(f"{BASE}/{path}")
    assert answer.status_code in (200, 204), answer.text
    if answer.status_code == 204:
        assert not answer.content
        return []
    return [one[tag]["Value"][0] for one in answer.json()]


@pytest.fixture
async def two(held: Any, setting: Any) -> Any:
    """The gateway with a second, later study of another modality."""
    other = made(1, study=SECOND, series=f"{SECOND}.1", modality="DX", day="20260301",
                 AccessionNumber="B-2", SeriesDescription="WRIST")  # fmt: skip
    await hold(held, setting, [[other]], case_id="c0ffee00-0000-4000-8000-000000000001", studies=[])
    return held


@pytest.mark.requirement("DX-DWB-06")
async def test_studies_are_found_by_each_kind_of_condition(two: Any) -> None:
    found = {
        "": [SECOND, STUDY],
        "StudyDate=20260102": [STUDY],
        "StudyDate=20260101-20260131": [STUDY],
        "StudyDate=20260201-": [SECOND],
        "StudyDate=-20251231": [],
        "00080020=-20260401": [SECOND, STUDY],
        f"PatientID={PATIENT_ID}": [SECOND, STUDY],
        "PatientID=MRN-*": [SECOND, STUDY],
        "PatientID=mrn-7431": [],
        "PatientName=WANG^XIAOMING": [SECOND, STUDY],
        "PatientName=wang*": [SECOND, STUDY],
        "PatientName=WANG": [],
        "PatientName=xiao wa&fuzzymatching=true": [SECOND, STUDY],
        "PatientName=li&fuzzymatching=true": [],
        "AccessionNumber=ACC-2026*": [STUDY],
        "AccessionNumber=ACC-202601??": [STUDY],
        "ModalitiesInStudy=CT": [STUDY],
        "ModalitiesInStudy=CT,DX": [SECOND, STUDY],
        "ModalitiesInStudy=DX%5CMR": [SECOND],
        f"StudyInstanceUID={STUDY}": [STUDY],
        f"StudyInstanceUID={STUDY},{SECOND}": [SECOND, STUDY],
        f"StudyInstanceUID={STUDY}%5C{SECOND}": [SECOND, STUDY],
        "StudyInstanceUID=1.2.3": [],
        "limit=1": [SECOND],
        "limit=1&offset=1": [STUDY],
        "offset=5": [],
    }
    for asked, expected in found.items():
        assert await uids(two, f"studies?{asked}") == expected, asked
    partial = await two.get(f"{BASE}/studies?limit=1")
    assert partial.headers["warning"].startswith("299 ")
    assert "warning" not in (await two.get(f"{BASE}/studies?limit=2")).headers


@pytest.mark.requirement("DX-DWB-06")
async def test_an_answer_says_what_the_standard_and_the_client_want(two: Any) -> None:
    one = (await two.get(f"{BASE}/studies?StudyInstanceUID={STUDY}")).json()[0]
    assert one["00100010"]["Value"] == [{"Alphabetic": NAME}]
    assert one["00080061"]["Value"] == ["CT"]
    assert one["00201206"]["Value"] == [1] and one["00201208"]["Value"] == [3]
    assert one["00081190"]["Value"] == [f"http://gateway{OF_STUDY}"]
    assert one["00080005"]["Value"] == ["ISO_IR 192"] and "00080062" not in one
    more = await two.get(f"{BASE}/studies?includefield=00080062&includefield=PatientAge,all")
    assert more.json()[1]["00080062"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"]
    named = (await two.get(f"{BASE}/studies?includefield=SOPClassesInStudy")).json()[0]
    assert "00080062" in named and "00101010" not in named


@pytest.mark.requirement("DX-DWB-06")
async def test_series_and_instances_are_found(two: Any) -> None:
    assert await uids(two, f"studies/{STUDY}/series", "0020000E") == [SERIES]
    assert await uids(two, "series?Modality=DX", "0020000E") == [f"{SECOND}.1"]
    assert await uids(two, "series?SeriesDescription=CHEST*", "0020000E") == [SERIES]
    assert await uids(two, "series?PatientID=MRN*&Modality=CT", "0020000E") == [SERIES]
    numbers = await uids(two, f"studies/{STUDY}/series/{SERIES}/instances", "00200013")
    assert numbers == [1, 2, 3]
    assert await uids(two, f"studies/{STUDY}/instances?InstanceNumber=2", "00200013") == [2]
    assert await uids(two, f"instances?SOPInstanceUID={SERIES}.3", "00200013") == [3]
    one = (await two.get(f"{OF_SERIES}/instances?limit=1")).json()[0]
    assert one["00280010"]["Value"] == [32]
    assert one["00081190"]["Value"] == [f"http://gateway{OF_SERIES}/instances/{SERIES}.1"]
    assert "00100010" not in one, "the path names the study"
    every = (await two.get(f"{BASE}/instances?limit=1")).json()[0]
    assert "00100010" in every and "00080060" in every


@pytest.mark.requirement("DX-DWB-06")
async def test_a_search_reads_no_archive(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await two.get(f"{BASE}/studies")

    async def closed(*_: object) -> None:
        raise AssertionError("an archive is read")

    monkeypatch.setattr(two.gateway.archive, "reader", closed)
    monkeypatch.setattr(type(two.analysis), "open", closed)
    two.peers.identities.clear()
    assert len(await uids(two, "studies")) == 2
    assert len(await uids(two, "instances")) == 4


@pytest.mark.requirement("DX-DWB-07")
async def test_what_cannot_be_searched_by_is_refused(held: Any) -> None:
    for asked in (
        "Colour=red",
        "InstanceNumber=1",
        "00100010.00100020=1",
        "RadiopharmaceuticalInformationSequence=1",
        "limit=-1",
        "limit=x",
        "fuzzymatching=perhaps",
        "PatientID=1&00100020=2",
    ):
        answer = await held.get(f"{BASE}/studies?{asked}")
        assert answer.status_code == 400, asked
    assert (await held.get(f"{BASE}/studies", accept="application/dicom+xml")).status_code == 406
    listed = 'multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5'
    assert (await held.get(f"{BASE}/studies", accept=listed)).status_code == 200


@pytest.mark.requirement("DX-DWB-08")
async def test_late_images_and_a_second_case_make_one_study(held: Any, setting: Any) -> None:
    assert len(await uids(held, f"studies/{STUDY}/instances", "00080018")) == 3
    more = [[made(n) for n in range(1, 6)], [made(1, series=f"{STUDY}.7", SeriesNumber=7)]]
    await hold(held, setting, more, case_id="c0ffee00-0000-4000-8000-000000000002")
    assert await uids(held, "studies") == [STUDY]
    assert len(await uids(held, f"studies/{STUDY}/series", "0020000E")) == 2
    (one,) = (await held.get(f"{BASE}/studies")).json()
    assert one["00201208"]["Value"] == [6]


@pytest.mark.requirement("DX-DWB-08")
async def test_the_archives_of_a_supplement_are_served_too(world: Any, setting: Any) -> None:
    await hold(world, setting, [[made(1), made(2)]], commit=False)
    whole = [[made(1), made(2), made(3)]]
    await hold(world, setting, whole, part="imaging-1.1")
    found = await uids(world, f"studies/{STUDY}/instances", "00080018")
    assert sorted(found) == [f"{SERIES}.{n}" for n in (1, 2, 3)]


@pytest.mark.requirement("DX-DWB-08")
async def test_a_deflated_file_is_found_and_hinders_no_search(world: Any, setting: Any) -> None:
    noise = np.random.default_rng(1).integers(-1000, 1000, (300, 300))  # its head is large
    deflated = made(1, array=noise)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    await hold(world, setting, [[deflated, made(2)]])
    found = await uids(world, f"studies/{STUDY}/instances", "00080018")
    assert sorted(found) == [f"{SERIES}.1", f"{SERIES}.2"]


@pytest.mark.requirement("DX-DWB-08")
async def test_an_archive_that_breaks_its_reader_hinders_no_search(
    held: Any, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(archive.indexing, "read_received", broken)
    other = "c0ffee00-0000-4000-8000-000000000003"
    assert await uids(held, "studies") == []
    monkeypatch.undo()
    await hold(held, setting, [[made(1)]], case_id=other)
    assert await uids(held, "studies") == [STUDY]


@pytest.mark.requirement("DX-DWB-08")
async def test_a_destroyed_case_is_gone(held: Any, setting: Any) -> None:
    await uids(held, "studies")
    await held.analysis.destroy("north", setting.CASE_ID)
    held.gateway.archive._known.clear()
    answer = await held.get(f"{OF_SERIES}/metadata", accept="application/dicom+json")
    assert answer.status_code in (404, 410)
    assert await uids(held, "studies") == []


@pytest.mark.requirement("DX-DWB-07")
@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(
        ["PatientName", "StudyDate", "PatientID", "ModalitiesInStudy", "StudyTime"]
    )
    | st.text(max_size=12),
    value=st.text(max_size=40),
    fuzzy=st.booleans(),
)
def test_no_condition_breaks_the_search(name: str, value: str, fuzzy: bool) -> None:
    try:
        asked = query.parse([(name, value), ("fuzzymatching", str(fuzzy))], "study")
    except InvalidInput:
        return
    for condition in asked.conditions:
        values = {"Value": [{"Alphabetic": "A^B"}, "20260101", 5]}
        condition.holds({condition.tag: values})
        assert len(condition.days) == 2


@pytest.mark.requirement("DX-DWB-06")
def test_names_are_matched_in_every_group() -> None:
    name = {"00100010": {"Value": [{"Alphabetic": "Wang^Xiaoming", "Ideographic": "王^小明"}]}}
    for asked, fuzzy, expected in (
        ("王*", False, True),
        ("王^小明", False, True),
        ("WANG^XIAOMING^", False, True),
        ("小明", True, True),
        ("xiao", True, True),
        ("ming", True, False),
        ("*ming", False, True),
        ("w?ng*", False, True),
        ("[w]ang*", False, False),
    ):
        one = matching.condition("00100010", asked, fuzzy=fuzzy)
        assert one.holds(name) is expected, asked
