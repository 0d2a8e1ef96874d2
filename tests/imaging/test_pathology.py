"""A slide from tissue to answer, with stand-ins for the networks: counts, refusals, resume."""

from __future__ import annotations

import importlib.util
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.imaging.pathology import (
    answer,
    cellularity,
    fields,
    instances,
    lung,
    results,
    stain,
    tissue,
)
from services.imaging.pathology.reader import PathologyReader
from services.imaging.pathology.slides import open_dicom
from services.imaging.pathology.slides.refusals import NotHaematoxylinEosin, NoTissue, TooCoarse
from services.imaging.reading import Context, ModelMissing, Reading
from services.imaging.series.sources import SlideFiles

HERE = Path(__file__).parent


def loaded(stem: str) -> ModuleType:
    """Return a module of this folder; tests cannot import one from another by name."""
    name = f"imaging_{stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{stem}.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


slides = loaded("slide_phantom")
models = loaded("slide_models")
LUNG = {"organ": lung.LUNG}


def context(options: Mapping[str, Any] | None = None, **more: Any) -> Context:
    return Context(card=lambda name: models.CARDS[name], options=dict(options or LUNG), **more)


def files(folder: Path, levels: list[Any], **more: Any) -> SlideFiles:
    """Write a slide and return its files."""
    return SlideFiles(paths=tuple(slides.write_dicom(folder, levels, **more)))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SlideFiles:
    """2600 x 2200 pixels of glass with a block of tissue of 2048 x 1536 in it."""
    picture = np.full((2200, 2600, 3), 250, np.uint8)
    picture[300:1836, 200:2248] = slides.tissue(1536, 2048)
    return files(tmp_path_factory.mktemp("slide"), slides.pyramid(picture, 5))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SlideFiles:
    """800 x 800 pixels of tissue: one field."""
    return files(tmp_path_factory.mktemp("slide"), [slides.tissue(800, 800)])


NUCLEI = (2048 // 48) * (1536 // 48)
"""Whole discs that were drawn."""


def read(source: SlideFiles, ask: Any = None, **more: Any) -> Reading:
    return PathologyReader().read(source, context(**more), ask or models.Models())


@pytest.mark.requirement("DX-IMG-83")
def test_every_nucleus_is_counted_once_in_its_place(small: SlideFiles) -> None:
    reading = read(small)
    measures = {measure.name: measure for measure in reading.answer.measures}
    assert measures["nuclei"].value == pytest.approx(NUCLEI, rel=0.03)
    nuclei = reading.annotations.nuclei
    assert (nuclei.centroids >= [200 - 5, 300 - 5]).all()
    assert (nuclei.centroids <= [2248 + 5, 1836 + 5]).all()
    # A disc of radius 13 pixels of 0.25 um.
    area = np.pi * (13 * 0.25) ** 2
    assert measures["nuclear-area"].value == pytest.approx(area, rel=0.15)
    assert measures["tissue-area"].value == pytest.approx(2048 * 1536 * 0.25**2 / 1e6, rel=0.1)
    assert measures["density"].value == pytest.approx(
        measures["nuclei"].value / measures["tissue-area"].value
    )
    distance = np.linalg.norm(nuclei.centroids[:, None] - nuclei.centroids[None], axis=2)
    np.fill_diagonal(distance, 99)
    assert distance.min() > 15
    outline = nuclei.polygons[0]
    assert np.linalg.norm(outline - nuclei.centroids[0], axis=1) == pytest.approx(13, abs=3)


@pytest.mark.requirement("DX-IMG-84")
def test_killed_at_any_question_it_goes_on_and_says_the_same(
    small: SlideFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.imaging.pathology import work

    monkeypatch.setattr(work, "FIELDS_AT_ONCE", 2)
    whole, seen = models.Models(), []
    expected = read(small, whole, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 1
    kept = models.Kept()
    asked = 0
    for lives in (6, 1_000):
        ask = models.Models(lives)
        try:
            again = read(small, ask, checkpoint=kept)
        except models.Killed:
            asked += ask.rows
    asked += ask.rows
    assert again.answer == expected.answer
    assert [one.finding for one in again.lesions] == [one.finding for one in expected.lesions]
    assert np.array_equal(again.annotations.nuclei.centroids, expected.annotations.nuclei.centroids)
    assert ask.rows < whole.rows, "the last run began again"
    # What was kept of other fields, or damaged, is not believed.
    kept.content["fields-0"] = b"PK not a batch"
    assert read(small, checkpoint=kept).answer == expected.answer


@pytest.mark.requirement("DX-IMG-85")
def test_tumour_is_found_where_it_lies_with_its_cellularity(tmp_path: Path) -> None:
    # Nuclei of 57 um2, too large for lymphocytes.
    picture = slides.tissue(1792, 3584, radius_px=17)
    greenish = picture[:, :1792].astype(int)
    greenish[..., 1] += 40
    picture[:, :1792] = np.clip(greenish, 0, 255)
    picture[:, :1792, 2] = np.minimum(picture[:, :1792, 2], 170)
    source = files(tmp_path, slides.pyramid(picture, 5))
    reading = read(source)
    (lesion,) = reading.lesions
    box = lesion.finding.place.box
    assert (box.left, box.top, box.right, box.bottom) == (0, 0, 1792, 1792)
    kinds = {one.name: one for one in lesion.finding.qualities}
    assert kinds["type"].value == "adenocarcinoma" and kinds["type"].probability > 0.8
    heat = reading.annotations.heat_map
    assert heat.cell_px == 448 and heat.values.shape == (4, 8)
    assert (heat.values[:, :4] > 0.9).all() and (heat.values[:, 4:] < 0.1).all()
    share = {one.name: one for one in lesion.finding.measures}["cellularity"]
    assert share.low <= share.value <= share.high and share.high > 90
    # Half tumour, half not, in a region that a person marked across both.
    marked = read(source, options={**LUNG, "region": [896, 0, 2688, 1792]})
    share = {one.name: one for one in marked.answer.measures}["cellularity"]
    assert 40 < share.value < 60 and share.low < share.value < share.high < 75
    keys = [one.key for one in marked.answer.statements]
    assert "pathology-cellularity-marked" in keys
    assert [one.role for one in reading.pictures] == ["overview", "heat-map"]


@pytest.mark.requirement("DX-IMG-85")
@pytest.mark.parametrize(("across", "key"), [(3, "pathology-specks"), (4, "pathology-tumour")])
def test_scattered_squares_are_said_but_make_no_tumour(across: int, key: str) -> None:
    found = results.Found(fields.Grid(scale=1.0, columns=1, rows=1, fields=()))
    found.kinds[:] = (0.9, 0.05, 0.05)
    found.kinds[0, :across] = (0.05, 0.9, 0.05)
    found.tissue[:] = 1.0
    made = answer.answer(
        found, found.all(), 1.0, None, operating_point=0.75, marked=False, why_not=""
    )
    assert key in [one.key for one in made.statements]
    assert bool(made.qualities) is (key == "pathology-tumour")
    tumour = cellularity.tumour_of(found)
    region = cellularity.suspect_region(tumour, found.counts, 0.75)
    assert bool(region.any()) is (key == "pathology-tumour")


@pytest.mark.requirement("DX-IMG-86")
@pytest.mark.parametrize(
    ("options", "why"),
    [({"x": 1}, "pathology-organ-unknown"), ({"organ": "10200004"}, "pathology-organ-other")],
)
def test_tumour_is_not_judged_outside_the_lung(
    tiny: SlideFiles, options: dict[str, Any], why: str
) -> None:
    ask = models.Models()
    reading = read(tiny, ask, options=options)
    assert lung.MODEL not in ask.asked
    assert why in [one.key for one in reading.answer.statements]
    assert not reading.lesions and reading.annotations.heat_map is None
    assert not reading.answer.looked_for
    assert {one.name for one in reading.answer.measures} >= {"nuclei", "density"}


@pytest.mark.requirement("DX-IMG-86")
def test_missing_lung_model_costs_its_part_alone(tiny: SlideFiles) -> None:
    def card(name: str) -> Mapping[str, Any]:
        if name == lung.MODEL:
            raise ModelMissing("no such model", model=name)
        return dict(models.CARDS[name])

    reading = PathologyReader().read(tiny, Context(card=card, options=LUNG), models.Models())
    assert "pathology-model-missing" in [one.key for one in reading.answer.statements]


@pytest.mark.requirement("DX-IMG-82")
def test_what_cannot_be_read_is_refused_with_numbers(tmp_path: Path) -> None:
    glass = np.full((1500, 1500, 3), 244, np.uint8)
    with pytest.raises(NoTissue) as empty:
        read(files(tmp_path, [glass]))
    assert float(empty.value.facts["tissue_mm2"]) == 0
    picture = slides.tissue(1200, 1200)
    with pytest.raises(TooCoarse) as coarse:
        read(files(tmp_path, [picture], mpp=1.0))
    assert coarse.value.facts["mpp"] == "1"
    brown = np.clip(picture.astype(int) * [1.0, 0.75, 0.35], 0, 255).astype(np.uint8)
    with pytest.raises(NotHaematoxylinEosin):
        read(files(tmp_path, [brown]))


@pytest.mark.requirement("DX-IMG-82")
def test_tissue_is_told_from_glass_dust_and_ink() -> None:
    picture = np.full((200, 200, 3), 245, np.uint8)
    picture[50:150, 60:160] = [215, 160, 200]
    picture[0:6, :] = 20
    picture[190:192, 190:192] = [215, 160, 200]
    found = tissue.find(picture, 16.0)
    assert found[55:145, 65:155].all()
    assert found.sum() == pytest.approx(10_000, rel=0.06)


@pytest.mark.requirement("DX-IMG-87")
def test_stain_normalisation_brings_two_laboratories_together() -> None:
    one = slides.tissue(400, 400)
    optical = stain.density(one) * np.float32(1.5)
    other = np.clip(
        255 * 10.0 ** -(optical @ np.array([[1, 0.05, 0], [0.08, 1, 0], [0, 0.06, 1]])), 0, 255
    )
    other = other.astype(np.uint8)
    before = np.abs(one.astype(int) - other).mean()
    made = []
    for picture in (one, other):
        own = stain.stains_of(picture.reshape(-1, 3))
        assert own is not None
        made.append(stain.normalised(picture, own).astype(int))
    assert np.abs(made[0] - made[1]).mean() < before / 3
    assert stain.stains_of(np.full((1000, 3), 250, np.uint8)) is None


@pytest.mark.requirement("DX-IMG-83")
def test_touching_nuclei_are_parted_and_specks_left_out() -> None:
    y, x = np.mgrid[:60, :80]
    two = ((y - 30) ** 2 + (x - 25) ** 2 < 12**2) | ((y - 30) ** 2 + (x - 46) ** 2 < 12**2)
    two[5:7, 5:7] = True
    from scipy import ndimage

    depth = np.clip(ndimage.distance_transform_edt(two) / 12, 0, 1).astype(np.float32)
    labels = instances.separate(two.astype(np.float32), depth, 0.5, 0.9)
    assert labels.max() == 2 and labels[5, 5] == 0
    found = instances.cells(labels, np.ones((60, 80), np.float32))
    assert sorted(found.centroids[:, 0]) == pytest.approx([25, 46], abs=1.5)
    assert found.roundness.min() > 0.8
    assert instances.separate(depth * 0, depth, 0.5).max() == 0
    assert len(instances.cells(np.zeros((9, 9), np.int32), depth).areas_px) == 0


@pytest.mark.requirement("DX-IMG-85")
def test_interval_of_cellularity_is_wide_where_small_round_nuclei_are_many() -> None:
    grid = fields.Grid(2.0, 1, 1, ())
    found = results.Found(grid)
    found.kinds[:] = [0.0, 1.0, 0.0]
    generator = np.random.default_rng(2)
    places = generator.uniform(0, 896 * 2, (800, 2)).astype(np.float32)
    large = np.arange(800) % 2 == 0
    nuclei = results.Batch(
        places,
        np.where(large, 80, 25).astype(np.float32),
        np.ones(800, np.float32),
        np.ones(800, np.float32),
        np.zeros((800, instances.RAYS, 2), np.float16),
        np.zeros((0, 4, 4, 3), np.float32),
    )
    share = cellularity.share_in(found, nuclei, np.ones((4, 4), bool))
    assert share is not None
    assert share.value == pytest.approx(0.5) and share.low < 0.5 and share.high == 1.0
    few = cellularity.share_in(found, nuclei, np.zeros((4, 4), bool))
    assert few is None


def huge(folder: Path, side: int = 100_000, blocks: int = 1) -> SlideFiles:
    """Write a slide of `side` x `side` pixels with blocks of tissue of 2048 pixels."""
    block = slides.tissue(2048, 2048)
    generator = np.random.default_rng(4)
    places = {(int(c), int(r)) for c, r in generator.integers(2, side // 2048 - 2, (blocks, 2))}
    levels = []
    for down in (1, 4, 16, 64):
        picture = np.asarray(Image.fromarray(block).reduce(down)) if down > 1 else block
        tiles: dict[tuple[int, int], Any] = {}
        for column, row in places:
            _put(tiles, picture, column * len(picture), row * len(picture))
        levels.append(tiles)
    sides = [side // down for down in (1, 4, 16, 64)]
    return SlideFiles(paths=tuple(slides.write_islands(folder, sides, levels)))


def _put(tiles: dict[tuple[int, int], Any], picture: Any, left: int, top: int) -> None:
    """Put a square picture on tiles of 512 pixels."""
    side = len(picture)
    for row in range(top // 512, (top + side - 1) // 512 + 1):
        for column in range(left // 512, (left + side - 1) // 512 + 1):
            tile = tiles.setdefault((column, row), np.full((512, 512, 3), 250, np.uint8))
            x, y = left - column * 512, top - row * 512
            a, b, c, d = max(x, 0), min(x + side, 512), max(y, 0), min(y + side, 512)
            tile[c:d, a:b] = picture[c - y : d - y, a - x : b - x]


@pytest.mark.requirement("DX-IMG-84")
def test_slide_of_100000_pixels_in_bounded_memory(tmp_path: Path) -> None:
    source = huge(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen: list[float] = []
    reading = read(source, progress=seen.append)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    slide = open_dicom(source.paths)
    assert slide.levels[0].width_px == slide.levels[0].height_px == 100_000
    slide.close()
    nuclei = {one.name: one.value for one in reading.answer.measures}["nuclei"]
    assert nuclei == pytest.approx(42 * 42, rel=0.05)
    assert grown < 400, f"{grown:.0f} MB"
    assert seen[-1] == 1.0
