"""What the viewer is given: stacks in order, numbers, outlines, and its own case alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.dataset import Dataset

from services.gateway.web import markings, outlines
from services.kernel.errors import InvalidInput
from tests.gateway.dicomweb.images import SERIES, STUDY, content, hold, jpeg_ls, made, pixels

SEG = f"{STUDY}.66"


def segmentation(slices: tuple[int, ...]) -> Dataset:
    """Return a SEG of one segment: a box of 3 x 2 pixels on each slice."""
    mask = np.zeros((len(slices), 32, 24), np.uint8)
    mask[:, 10:12, 5:8] = 1
    dataset = made(
        1, series=SEG, modality="SEG", sop_class="1.2.840.10008.5.1.4.1.1.66.4", BitsAllocated=1,
        BitsStored=1, HighBit=0, PixelRepresentation=0, NumberOfFrames=len(slices),
        SegmentationType="BINARY", PixelData=np.packbits(mask, bitorder="little").tobytes(),
    )  # fmt: skip
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "Nodule 1"
    dataset.SegmentSequence = [segment]
    frames = []
    for number in slices:
        frame, named, derived, source = Dataset(), Dataset(), Dataset(), Dataset()
        named.ReferencedSegmentNumber = 1
        source.ReferencedSOPInstanceUID = f"{SERIES}.{number}"
        derived.SourceImageSequence = [source]
        frame.SegmentIdentificationSequence, frame.DerivationImageSequence = [named], [derived]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


@pytest.fixture
async def shown(world: Any, setting: Any) -> Any:
    """A signed-in physician, a case of three slices sent from the head down, and a SEG."""
    slices = [made(1), jpeg_ls(3), made(2, PixelRepresentation=0, RescaleIntercept=40000)]
    await hold(world, setting, [slices], commit=False)
    name = f"{STUDY}/{SEG}/{SEG}.1.dcm"
    file = content(segmentation((1, 3)))
    await world.gateway.archive._made.put("north", f"{setting.CASE_ID}.dicom", name, file)
    await setting.compose(world, setting.sample_report())
    await world.sign_in()
    return world


@pytest.mark.requirement("DX-VIE-01")
@pytest.mark.requirement("DX-VIE-05")
@pytest.mark.requirement("DX-VIE-12")
async def test_the_viewer_is_given_its_case(shown: Any, setting: Any) -> None:
    base = f"/cases/{setting.CASE_ID}"
    said = (await shown.http.get(f"{base}/viewer/1")).json()
    (series,) = said["series"]
    assert [one["sop"] for one in series["images"]] == [f"{SERIES}.{n}" for n in (1, 2, 3)]
    assert series["kind"] == "stack" and series["images"][0]["mm"] == [0.7, 0.7]
    assert said["overlays"] == [{"series": SEG, "sop": f"{SEG}.1"}]
    assert all(set(one) >= {"id", "sop", "box", "series"} for one in said["findings"])
    wide = pixels(2).astype(int) + 40000 - 32768
    images = ((1, pixels(1) - 1024, 0), (3, pixels(3) - 1024, 0), (2, wide, 32768))
    for number, expected, offset in images:
        answer = await shown.http.get(f"{base}/pixels/{SERIES}/{SERIES}.{number}/1")
        values = np.frombuffer(answer.content, "<i2").reshape(32, 24)
        assert np.array_equal(values, expected), number
        assert int(answer.headers["dx-offset"]) == offset
    picture = await shown.http.get(f"{base}/pictures/{SERIES}/{SERIES}.1/1")
    assert picture.headers["content-type"] == "image/jpeg"
    assert "Cookie" in picture.headers["vary"], "kept by the browser for this session alone"
    lines = (await shown.http.get(f"{base}/overlays/{SEG}/{SEG}.1")).json()
    assert lines["segments"] == {"1": "Nodule 1"}
    assert set(lines["images"]) == {f"{SERIES}.1", f"{SERIES}.3"}
    assert len(lines["images"][f"{SERIES}.1"][0]["lines"]) == 4 * 4


@pytest.mark.requirement("DX-VIE-12")
async def test_the_viewer_is_given_nothing_else(shown: Any, setting: Any) -> None:
    base = f"/cases/{setting.CASE_ID}"
    other = "c0ffee00-0000-4000-8000-000000000009"
    foreign = [[made(1, study="1.2.9", series="1.2.9.1")]]
    await hold(shown, setting, foreign, case_id=other, studies=[])
    assert (await shown.http.get(f"/cases/{other}/pixels/1.2.9.1/1.2.9.1.1/1")).status_code == 200
    for path in (
        "pixels/1.2.9.1/1.2.9.1.1/1",
        f"pixels/{SERIES}/{SERIES}.9/1",
        f"pixels/{SERIES}/{SERIES}.1/2",
        f"pixels/{SERIES}/../1",
        f"pictures/{SERIES}/{SERIES}.1/x",
        "overlays/1/2",
    ):
        assert (await shown.http.get(f"{base}/{path}")).status_code == 404, path
    for role in ("ehr", "operator", "auditor"):
        answer = await shown.http.get(
            f"{base}/pixels/{SERIES}/{SERIES}.1/1", headers=shown.bearer(role)
        )
        assert answer.status_code == 403, role
    trail = await shown.get("/fhir/AuditEvent?_count=50", "auditor")
    kinds = [e["resource"]["subtype"][0]["code"] for e in trail.json()["entry"]]
    assert "dicom-retrieve" in kinds


@pytest.mark.requirement("DX-VIE-05")
@settings(max_examples=60, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_an_outline_is_every_side_between_inside_and_outside(mask: np.ndarray) -> None:
    lines = np.array(outlines.edges(mask)).reshape(-1, 4)
    padded = np.pad(mask, 1)
    sides = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
    length = np.abs(lines[:, 2] - lines[:, 0]) + np.abs(lines[:, 3] - lines[:, 1])
    assert length.sum() == sides
    if mask.any():
        rows, columns = np.nonzero(mask)
        assert (
            lines[:, [0, 2]].min() == columns.min() and lines[:, [0, 2]].max() == columns.max() + 1
        )
        assert lines[:, [1, 3]].min() == rows.min() and lines[:, [1, 3]].max() == rows.max() + 1


@pytest.mark.requirement("DX-VIE-08")
def test_what_is_no_marking_is_refused() -> None:
    good = '{"shape":"box","series":"1.2","sop":"1.3","frame":0,"box":[1,2,3.5,4]}'
    assert markings.parse(good)["box"] == [1, 2, 3.5, 4]
    for wrong in (
        "", "null", "[]", "{}", good.replace("box\"", "cat\"", 1), good.replace("1.3", "../3"),
        good.replace("3.5", "1"), good.replace("3.5", "1e400"), good.replace("[1", "[-1"),
        good.replace(":0,", ":1.5,"), good.replace("3.5,4", "3.5"), good + " " * 2000,
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            markings.parse(wrong)
    fields = [("added:added-2:marking", good), ("added:added-2:kind", "nodule"),
              ("added:added-3:text", "nowhere")]  # fmt: skip
    (one,) = markings.added(fields)
    assert (one["id"], one["kind"], one["text"]) == ("added-2", "nodule", "")
    with pytest.raises(InvalidInput):
        markings.added([("added:../x:marking", good)])


@pytest.mark.requirement("DX-VIE-10")
def test_a_marking_is_told_in_the_models_uids_or_not_at_all() -> None:
    marking = {"shape": "ellipse", "series": "1.2", "sop": "1.3", "frame": 2, "box": [1, 2, 3, 4]}
    told = markings.to_models(marking, {"2.25.7": "1.2", "2.25.8": "1.3"})
    assert (told.series_instance_uid, told.sop_instance_uid, told.frame) == ("2.25.7", "2.25.8", 2)
    assert (told.shape, told.left, told.bottom) == (2, 1, 4)
    with pytest.raises(InvalidInput):
        markings.to_models(marking, {"2.25.7": "1.2"})
