"""Fractures on X-ray: what is prepared, judged, marked and said, on phantoms and a fake model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.imaging.fractures import detect, prepare, sites
from services.imaging.fractures.quality import ChildXray, NotALimbXray, PoorRadiograph
from services.imaging.fractures.reader import FRACTURE_OF_BONE, FractureReader
from services.imaging.reading import Context, Reading
from services.imaging.series.radiograph import Radiograph
from services.reporting.imaging_observations import is_positive

CARD = {
    "operating_point": {"probability": 0.3, "box_probability": 0.25},
    "split": {"validation": {"images": 200, "fractured": 50}},
}


def radiograph(rows: int = 900, columns: int = 720, **stated: Any) -> Radiograph:
    """Return a bone across soft tissue, broken at (0.6, 0.5) of the picture."""
    grey = np.full((rows, columns), 0.15, np.float32)
    middle, half = columns // 2, columns // 16
    grey[:, middle - 3 * half : middle + 3 * half] = 0.35
    grey[:, middle - half : middle + half] = 0.7
    grey[int(rows * 0.6) : int(rows * 0.6) + 4, middle - half : middle + half] = 0.3
    noise = np.random.default_rng(1).normal(0, 0.01, grey.shape).astype(np.float32)
    return Radiograph(
        grey=np.clip(grey + noise, 0, 1), sop_uid="1.2.3", **{"body_part": "WRIST"} | stated
    )


class FakeModel:
    """Answers with set numbers; boxes in canvas pixels."""

    def __init__(self, boxes: list[list[float]], **said: Any) -> None:
        rows = boxes + [[0.0, 0.0, 0.0, 0.0, 0.0]] * (32 - len(boxes))
        self.answer = {
            "probability": [[0.8]],
            "boxes": [rows],
            "hardware": [[0.1]],
            "part": [[0.9, 0.1, 0.0, 0.0]],
            "unlike": [[0.5]],
        } | said
        self.tensors: list[np.ndarray[Any, Any]] = []

    def __call__(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        assert model == "xray_fracture"
        self.tensors.append(inputs["image"])
        return {name: np.array(value, np.float32) for name, value in self.answer.items()}


def read(image: Radiograph, model: FakeModel, age: float | None = 50, **options: Any) -> Reading:
    context = Context(age_years=age, options=options, card=lambda _: CARD)
    return FractureReader().read(image, context, model)


def keys(reading: Reading) -> list[str]:
    return [said.key for said in reading.answer.statements]


@pytest.mark.requirement("DX-IMG-65")
@pytest.mark.parametrize(
    ("rows", "columns", "canvas"),
    [(2500, 2000, (448, 384)), (2000, 2500, (384, 448)), (600, 600, (448, 384))],
)
def test_radiograph_fills_the_canvas_in_its_own_orientation(
    rows: int, columns: int, canvas: tuple[int, int]
) -> None:
    made = prepare.prepare(radiograph(rows, columns))
    assert made.tensor.shape == (1, 1, *canvas)
    assert made.tensor.dtype == np.float32
    assert made.tensor.min() >= 0.0 and made.tensor.max() <= 1.0
    lit = made.tensor[0, 0] > 0.05
    assert lit.any(axis=1).all() or lit.any(axis=0).all()


@pytest.mark.requirement("DX-IMG-65")
def test_black_border_is_trimmed_and_boxes_come_back_to_the_image() -> None:
    inner = radiograph(800, 640).grey
    grey = np.zeros((2000, 1500), np.float32)
    grey[700:1500, 300:940] = inner
    made = prepare.prepare(Radiograph(grey=grey, sop_uid=""))
    assert made.zoom == pytest.approx(448 / 800)
    corner = made.to_image(np.array([[made.left + 300 * made.zoom, 0.0, 1000.0, 1000.0]]))
    assert corner[0, 0] == pytest.approx(300, abs=1)
    assert corner[0, 1] == pytest.approx(700, abs=1)


@pytest.mark.requirement("DX-IMG-65")
@given(
    rows=st.integers(200, 1500),
    columns=st.integers(200, 1500),
    at=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
)
def test_a_bright_spot_lies_on_the_canvas_where_the_way_back_says(
    rows: int, columns: int, at: tuple[float, float]
) -> None:
    grey = np.full((rows, columns), 0.2, np.float32)
    row, column = int(at[0] * rows), int(at[1] * columns)
    grey[max(row - 8, 0) : row + 9, max(column - 8, 0) : column + 9] = 1.0
    made = prepare.prepare(Radiograph(grey=grey, sop_uid=""))
    lit = np.argwhere(made.tensor[0, 0] > 0.6)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0) + 1
    box = made.to_image(np.array([[left, top, right, bottom]], np.float64))[0]
    assert box[:2].tolist() <= [column + 1, row + 1]
    assert abs((box[0] + box[2]) / 2 - (column + 0.5)) < 9 + 2 / made.zoom
    assert abs((box[1] + box[3]) / 2 - (row + 0.5)) < 9 + 2 / made.zoom


@pytest.mark.requirement("DX-IMG-66")
def test_of_overlapping_boxes_the_better_one_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [30, 30, 40, 40]], np.float64)
    assert detect.suppress(boxes, np.array([0.4, 0.9, 0.2])) == [1, 2]


@pytest.mark.requirement("DX-IMG-66")
def test_marked_places_are_in_image_pixels_with_site_side_and_size() -> None:
    image = radiograph(900, 720, laterality="L", pixel_mm=(0.2, 0.1), frame=2)
    model = FakeModel([[100, 200, 150, 240, 0.7], [10, 10, 40, 40, 0.1]])
    reading = read(image, model)
    (lesion,) = reading.lesions
    found = lesion.finding
    zoom = 448 / 900
    offset = (384 - round(720 * zoom)) // 2
    assert found.kind == "fracture" and found.function == pb.FUNCTION_FRACTURES
    assert found.site == "wrist" and found.laterality == pb.LATERALITY_LEFT
    assert found.place.sop_instance_uid == "1.2.3" and found.place.frame == 2
    assert found.place.box.left == int((100 - offset) / zoom)
    assert found.place.box.top == int(200 / zoom)
    assert found.probability == pytest.approx(0.7)
    sizes = {measured.name: (measured.value, measured.unit) for measured in found.measures}
    assert sizes["marked-width"] == (pytest.approx(50 / zoom * 0.1), "mm")
    assert sizes["marked-height"] == (pytest.approx(40 / zoom * 0.2), "mm")
    assert reading.answer.probability == pytest.approx(0.8)
    assert reading.answer.operating_point == 0.3
    assert list(reading.answer.looked_for) == [FRACTURE_OF_BONE]
    assert keys(reading) == ["fractures-marked", "fractures-meaning", "fractures-recommend"]


@pytest.mark.requirement("DX-IMG-66")
def test_without_a_pixel_size_no_millimetres_are_stated() -> None:
    (lesion,) = read(radiograph(), FakeModel([[100, 200, 150, 240, 0.7]])).lesions
    assert not lesion.finding.measures
    assert lesion.finding.laterality == pb.LATERALITY_UNSPECIFIED


@pytest.mark.requirement("DX-IMG-67")
@pytest.mark.parametrize(
    ("boxes", "probability", "key"),
    [
        ([[100, 200, 150, 240, 0.7]], 0.8, "fractures-marked"),
        ([[100, 200, 150, 240, 0.7]], 0.1, "fractures-marked-unlikely"),
        ([], 0.8, "fractures-unplaced"),
        ([], 0.1, "fractures-none"),
    ],
)
def test_image_and_places_are_said_apart_when_they_disagree(
    boxes: list[list[float]], probability: float, key: str
) -> None:
    assert keys(read(radiograph(), FakeModel(boxes, probability=[[probability]])))[0] == key


@pytest.mark.requirement("DX-IMG-67")
@pytest.mark.parametrize(("probability", "positive"), [(0.29, False), (0.31, True)])
def test_report_counts_an_image_as_fractured_where_its_sentence_does(
    probability: float, positive: bool
) -> None:
    reading = read(radiograph(), FakeModel([], probability=[[probability]]))
    found = pb.ImagingFindings(answers=[reading.answer])
    assert keys(reading)[0] == ("fractures-unplaced" if positive else "fractures-none")
    assert is_positive(found, reading.answer) is positive


@pytest.mark.requirement("DX-IMG-67")
@pytest.mark.parametrize(("probability", "said"), [(0.0001, "1"), (0.43, "43"), (0.9999, "99")])
def test_probability_is_said_as_a_frequency_with_the_share_it_was_measured_at(
    probability: float, said: str
) -> None:
    reading = read(radiograph(), FakeModel([], probability=[[probability]]))
    meaning = next(s for s in reading.answer.statements if s.key == "fractures-meaning")
    assert dict(meaning.facts) == {"of_100": said, "share": "25"}


@pytest.mark.requirement("DX-IMG-67")
def test_routing_rule_sets_the_operating_points() -> None:
    model = FakeModel([[100, 200, 150, 240, 0.2]])
    assert not read(radiograph(), model).lesions
    reading = read(radiograph(), model, box_operating_point=0.15, operating_point=0.9)
    assert len(reading.lesions) == 1
    assert keys(reading)[0] == "fractures-marked-unlikely"


@pytest.mark.requirement("DX-IMG-68")
def test_hardware_is_said_and_warned_of() -> None:
    model = FakeModel([[100, 200, 150, 240, 0.7]], hardware=[[0.95]])
    reading = read(radiograph(body_part=""), model)
    said = {quality.name: quality.value for quality in reading.answer.qualities}
    assert said == {"body-part": "hand", "hardware": "present"}
    assert reading.lesions[0].finding.qualities[0].value == "present"
    assert "fractures-hardware" in keys(reading)
    assert "fractures-hardware" not in keys(read(radiograph(), FakeModel([])))


@pytest.mark.requirement("DX-IMG-69")
@pytest.mark.parametrize("part", ["CHEST", "SKULL", "L-SPINE", "whole body"])
def test_another_body_part_is_declined_before_the_model_speaks(part: str) -> None:
    model = FakeModel([])
    with pytest.raises(NotALimbXray) as caught:
        read(radiograph(body_part=part), model)
    assert caught.value.reason == "NOT_A_LIMB_XRAY"
    assert caught.value.facts["body_part"] == sites.plain(part)
    assert not model.tensors


@pytest.mark.requirement("DX-IMG-69")
def test_without_a_stated_part_the_image_must_show_one() -> None:
    reading = read(radiograph(body_part=""), FakeModel([[100, 200, 150, 240, 0.7]]))
    assert reading.lesions[0].finding.site == "upper-limb"
    assert "fractures-part-from-image" in keys(reading)
    with pytest.raises(NotALimbXray) as caught:
        read(radiograph(body_part=""), FakeModel([], part=[[0.2, 0.3, 0.1, 0.1]]))
    assert caught.value.facts["part_probability"] == "0.3"


@pytest.mark.requirement("DX-IMG-69")
def test_what_looks_like_nothing_known_is_declined_with_its_distance() -> None:
    for part in ("", "HAND"):
        with pytest.raises(NotALimbXray) as caught:
            read(radiograph(body_part=part), FakeModel([], unlike=[[2.5]]))
        assert caught.value.facts["unlike"] == "2.5"


@pytest.mark.requirement("DX-IMG-69")
def test_a_stated_part_that_the_image_contradicts_is_said() -> None:
    model = FakeModel([], part=[[0.05, 0.98, 0.0, 0.0]])
    stated = read(radiograph(body_part="HAND"), model)
    assert "fractures-part-differs" in keys(stated)
    assert not [quality for quality in stated.answer.qualities if quality.name == "body-part"]


@pytest.mark.requirement("DX-IMG-70")
def test_children_are_declined_and_an_unknown_age_is_said() -> None:
    with pytest.raises(ChildXray) as caught:
        read(radiograph(), FakeModel([]), age=9)
    assert caught.value.facts == {"age_years": "9", "age_min": "16"}
    assert "fractures-age-unknown" in keys(read(radiograph(), FakeModel([]), age=None))
    assert read(radiograph(), FakeModel([]), age=9, age_min_years=5)


@pytest.mark.requirement("DX-IMG-70")
@pytest.mark.parametrize(
    "image",
    [
        Radiograph(grey=np.full((600, 500), 0.5, np.float32), sop_uid=""),
        Radiograph(grey=np.full((600, 500), np.nan, np.float32), sop_uid=""),
        Radiograph(grey=np.random.default_rng(0).random((90, 400), np.float32), sop_uid=""),
        Radiograph(
            grey=np.random.default_rng(0).random((600, 500), np.float32),
            sop_uid="",
            clipped_share=0.8,
        ),
    ],
    ids=["empty", "no numbers", "too small", "cut off"],
)
def test_a_picture_that_shows_nothing_is_declined(image: Radiograph) -> None:
    with pytest.raises(PoorRadiograph):
        read(image, FakeModel([]))


@pytest.mark.requirement("DX-IMG-69")
def test_every_site_and_sentence_has_words_in_both_languages() -> None:
    folder = Path(__file__).resolve().parents[2] / "services" / "reporting" / "data"
    lines = (folder / "words_fractures.tsv").read_text().splitlines()[2:]
    words = dict(line.split("\t", 1) for line in lines)
    named = {sites.stated(part).name for part in ("HAND", "TIBIA", "PELVIS", "CLAVICLE")}  # type: ignore[union-attr]
    named |= set(sites.BY_PART.values()) | {name for name, _ in sites._READ.values() if name}
    assert {f"site-{name}" for name in named} <= set(words)
    assert all(len(text.split("\t")) == 2 and all(text.split("\t")) for text in words.values())
