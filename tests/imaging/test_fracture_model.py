"""The shipped fracture model: its file, its card, its numbers, and what it says of real images."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from services.cli import triton
from services.imaging.fractures import detect, prepare
from services.imaging.fractures.quality import NotALimbXray
from services.imaging.fractures.reader import FractureReader
from services.imaging.reading import Context, Reading
from services.imaging.series.radiograph import Radiograph
from services.kernel.inference import TritonInference
from tests.servers.triton import ENVIRONMENT, TritonServer
from training.fractures import data, measure
from training.fractures.groups import Split, split
from training.nodules import figures

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "imaging"
FOLDER = ROOT / "deploy" / "triton" / "models" / detect.MODEL
LARGEST_MB = 9.0
SAMPLE = 40
"""Images spread over the whole test part, half of them fractured."""


class Model:
    """The file in ONNX Runtime, as a reader asks it."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(FOLDER / "1" / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        names = list(detect.OUTPUTS)
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((FOLDER / "card.json").read_text())
    return result


@pytest.fixture(scope="module")
def real() -> tuple[data.Radiographs, Split]:
    if not (DATA / data.FOLDER).is_dir():
        pytest.skip(f"the open data set is not here: ../shared/data/imaging/{data.FOLDER}")
    radiographs = data.read(DATA)
    return radiographs, split(radiographs)


@pytest.mark.requirement("DX-IMG-72")
def test_card_is_that_of_the_file_which_is_small(card: dict[str, Any]) -> None:
    content = (FOLDER / "1" / "model.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= LARGEST_MB * 1e6
    assert card["name"] == detect.MODEL
    assert 0 < card["operating_point"]["probability"] < 1
    assert 0 < card["operating_point"]["box_probability"] < 1
    for part in ("validation", "test"):
        for name in ("auc", "map50_fractured_images"):
            figure = card["figures"][part][name]
            assert 0 < figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert card["baselines_test_auc"] and card["fails"] and card["data"]["licence"]


@pytest.mark.requirement("DX-IMG-72")
@pytest.mark.parametrize("shape", [(448, 384), (384, 448)])
def test_answers_do_not_depend_on_the_batch(model: Model, shape: tuple[int, int]) -> None:
    images = np.random.default_rng(5).random((3, 1, *shape), np.float32)
    together = model(detect.MODEL, {detect.INPUT: images})
    assert together["boxes"].shape == (3, 32, 5)
    for name, values in together.items():
        assert np.isfinite(values).all()
        alone = model(detect.MODEL, {detect.INPUT: images[1:2]})[name]
        if name != "boxes":
            np.testing.assert_allclose(alone, values[1:2], rtol=0, atol=1e-4)
    chances = together["boxes"][:, :, 4]
    assert (np.diff(chances, axis=1) <= 1e-6).all()
    assert (chances >= 0).all() and (chances <= 1).all()


def read(grey: np.ndarray[Any, Any], model: Model, card: dict[str, Any], part: str) -> Reading:
    radiograph = Radiograph(grey=grey.astype(np.float32), sop_uid="1.2.3", body_part=part)
    return FractureReader().read(radiograph, Context(card=lambda _: card), model)


@pytest.mark.flow
@pytest.mark.requirement("DX-IMG-72")
async def test_triton_gives_the_numbers_of_onnx_runtime(model: Model, tmp_path: Path) -> None:
    if triton.find_wheel(ENVIRONMENT) is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    shutil.copytree(FOLDER, tmp_path / "repository" / detect.MODEL)
    server = TritonServer(tmp_path, tmp_path / "repository")
    server.start()
    client = TritonInference(server.url, shared_memory=False, timeout_s=60.0)
    try:
        for shape in ((448, 384), (384, 448)):
            images = np.random.default_rng(6).random((2, 1, *shape), np.float32)
            there = await client.infer(detect.MODEL, {detect.INPUT: images})
            here = model(detect.MODEL, {detect.INPUT: images})
            for name in detect.OUTPUTS:
                np.testing.assert_allclose(there[name], here[name], rtol=0, atol=1e-4)
    finally:
        await client.close()
        server.kill()


@pytest.mark.requirement("DX-IMG-73")
def test_real_radiographs_rank_as_the_card_says(
    model: Model, card: dict[str, Any], real: tuple[data.Radiographs, Split]
) -> None:
    radiographs, parts = real
    fractured = radiographs.column("fractured")
    rows = np.concatenate(
        [spread(parts.test[fractured[parts.test] == label], SAMPLE // 2) for label in (1, 0)]
    )
    seen = []
    for row in rows:
        canvas = prepare.prepare(
            Radiograph(grey=radiographs.images[row].astype(np.float32) / 255, sop_uid="")
        )
        seen.append(detect.look(canvas, model))
    scored = measure.Scored(radiographs, rows, parts.group[rows], seen)
    area = figures.auc(scored.fractured, scored.probability)
    said = card["figures"]["test"]["auc"]["value"]
    assert area > said - 3 * chance_of(said, SAMPLE // 2)


def spread(rows: data.Ints, count: int) -> data.Ints:
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def chance_of(area: float, each: int) -> float:
    """Return the standard error of an AUC from `each` images of both kinds.

    Source: Hanley and McNeil 1982.
    """
    same, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (each - 1) * (same + other - 2 * area**2)
    return float(np.sqrt(variance / each**2))


@pytest.mark.requirement("DX-IMG-73")
def test_a_real_fracture_is_marked_where_the_reader_drew_it(
    model: Model, card: dict[str, Any], real: tuple[data.Radiographs, Split]
) -> None:
    radiographs, parts = real
    fractured = radiographs.column("fractured")
    marked = overlapped = 0
    for row in parts.test[fractured[parts.test] == 1][:14]:
        reading = read(radiographs.images[row] / 255, model, card, "HAND")
        for lesion in reading.lesions[:1]:
            marked += 1
            place = lesion.finding.place.box
            box = np.array([place.left, place.top, place.right, place.bottom], np.float64)
            truth = radiographs.boxes[row].astype(np.float64)
            overlapped += bool((detect.overlaps(box, truth) > 0.1).any())
    assert marked >= 2
    assert overlapped >= marked / 3


@pytest.mark.requirement("DX-IMG-73")
def test_noise_is_declined(model: Model, card: dict[str, Any]) -> None:
    noise = np.random.default_rng(2).random((700, 600))
    with pytest.raises(NotALimbXray):
        read(noise, model, card, "")
