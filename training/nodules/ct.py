"""Measures the service on LIDC-IDRI-0001, as it is and with balls set into its lungs.

    python -m training.nodules.ct --data FOLDER [--models FOLDER] [--implants NUMBER]

Runs in the services' environment (`.[imaging]`), not in the training one. What came out is written
into the candidate model's card. The balls are made, not nodules: they tell how often the search
reaches a place in a real lung at all, not how often a reader's nodule is found.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import resource
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.imaging import lungs as lung_mask
from services.imaging.nodules import detect, prepare, score
from services.imaging.nodules.reader import NoduleReader
from services.imaging.reading import Context, ModelMissing, Reading
from services.imaging.series.assemble import Facts, assemble
from services.imaging.series.volume import Volume
from services.kernel.errors import MeshError
from services.kernel.inference import OnnxInference
from training.nodules.card import MODEL, MODELS, write_json
from training.nodules.readers import consensus

CORNER_MM, PIXEL_MM, SLICE_MM = (-166.0, -171.7), 0.703125, 2.5
BALLS_EACH = 12
APART_MM = 35.0
DIAMETERS_MM = (6.0, 20.0)
GLASS_SHARE, GLASS_HU, SOLID_HU = 0.25, -550.0, 30.0
WITHIN_MM = 5.0
SEED = 20261126


class Models:
    """Asks the models of a repository in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._asked = folder, OnnxInference(folder)

    def __call__(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `reading.Ask`."""
        if not (self._folder / model / "1" / "model.onnx").is_file():
            raise ModelMissing("the model is not in the repository")
        try:
            return dict(asyncio.run(self._asked.infer(model, dict(inputs))))
        except MeshError as error:
            raise ModelMissing("the model does not answer") from error

    def card(self, model: str) -> Mapping[str, Any]:
        """Return a model's card."""
        path = self._folder / model / "card.json"
        if not path.is_file():
            raise ModelMissing("the model is not in the repository")
        card: dict[str, Any] = json.loads(path.read_text())
        return card


def read(volume: Volume, models: Models) -> Reading:
    """Read a CT as the service does."""
    return NoduleReader().read(volume, Context(card=models.card, age_years=60, sex="F"), models)


def measure(archive: Path, volume: Volume, models: Models) -> dict[str, object]:
    """Return what the service found beside what the readers drew."""
    truth = consensus(archive, CORNER_MM, PIXEL_MM, SLICE_MM)
    began = time.process_time()
    found = [lesion.finding for lesion in read(volume, models).lesions]
    cpu_s = time.process_time() - began
    candidates = detect.detect(prepare.block(volume, lung_mask.find(volume)))
    places = [(f.place.center.x, f.place.center.y, f.place.center.z) for f in found]
    away = [float(np.linalg.norm(np.array(place) - truth.center_mm)) for place in places]
    nearest = found[int(np.argmin(away))]
    measures = {one.name: round(one.value, 1) for one in nearest.measures}
    return {
        "readers_volume_ml": round(truth.volume_mm3 / 1000, 2),
        "candidates": len(candidates),
        "reported": len(found),
        "distance_mm": round(min(away), 2),
        "volume_ml": round(measures["volume"] / 1000, 2),
        "probability": round(nearest.probability, 3),
        "slices": [nearest.place.first_slice_index, nearest.place.last_slice_index],
        "measures": measures,
        "qualities": {
            one.name: one.value or round(one.probability, 3) for one in nearest.qualities
        },
        "cpu_s": round(cpu_s, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def implanted(volume: Volume, models: Models, number: int) -> dict[str, object]:
    """Return how many of so many balls are candidates, and how many pass the operating point."""
    random = np.random.default_rng(SEED)
    operating_point = float(models.card(MODEL)["operating_point"]["probability"])
    lungs = lung_mask.find(volume)
    rows: list[tuple[float, bool, bool, bool]] = []
    counts = []
    while len(rows) < number:
        changed, balls = _with_balls(volume, lungs, random)
        candidates = detect.detect(prepare.block(changed, lung_mask.find(changed)))
        counts.append(len(candidates))
        scores = models(MODEL, {score.INPUT: score.crops(changed, candidates)})[score.OUTPUT]
        chances = score.probabilities(scores)
        places = np.array([one.index for one in candidates]) * volume.spacing_mm
        for center, diameter, glass in balls:
            near = np.linalg.norm(places - center, axis=1) <= max(WITHIN_MM, diameter / 2)
            rows.append(
                (diameter, glass, bool(near.any()), bool((chances[near] >= operating_point).any()))
            )
    table = np.array(rows)
    return {
        "balls": len(rows),
        "candidates_a_scan": round(float(np.mean(counts)), 1),
        **{
            name: {
                "balls": int(which.sum()),
                "candidates": round(float(table[which, 2].mean()), 3),
                "above_operating_point": round(float(table[which, 3].mean()), 3),
            }
            for name, which in (
                ("solid", table[:, 1] == 0),
                ("ground_glass", table[:, 1] == 1),
                ("6_10_mm", table[:, 0] < 10),
                ("10_20_mm", table[:, 0] >= 10),
            )
        },
    }


def _with_balls(
    volume: Volume, lungs: lung_mask.Lungs, random: np.random.Generator
) -> tuple[Volume, list[tuple[Any, float, bool]]]:
    """Return the CT with balls at random places of aerated lung; centres in mm of the grid."""
    hu = volume.hu.astype(np.float32)
    spacing = np.array(volume.spacing_mm)
    inside = np.argwhere(lungs.air) * lungs.step
    balls: list[tuple[Any, float, bool]] = []
    while len(balls) < BALLS_EACH:
        center = inside[random.integers(len(inside))] * spacing
        if any(np.linalg.norm(center - other) < APART_MM for other, _, _ in balls):
            continue
        diameter, glass = float(random.uniform(*DIAMETERS_MM)), bool(random.random() < GLASS_SHARE)
        reach = diameter / 2 + 3
        low = np.maximum(np.floor((center - reach) / spacing).astype(int), 0)
        high = np.minimum(np.ceil((center + reach) / spacing).astype(int) + 1, hu.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.stack(
            np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"),
            -1,
        )
        away = np.linalg.norm(grid * spacing - center, axis=-1)
        share = np.clip(0.5 + (diameter / 2 - away) / 1.5, 0, 1)
        wanted = GLASS_HU if glass else SOLID_HU
        noise = random.normal(0, 15, share.shape)
        part = hu[window]
        hu[window] = part + share * (np.maximum(part, wanted + noise) - part)
        balls.append((center, diameter, glass))
    return Volume(np.rint(hu).astype(np.int16), volume.affine, volume.sop_uids), balls


def _zipped(archive: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(archive) as members, zipfile.ZipFile(buffer, "w") as made:
        for member in members:
            content = members.extractfile(member) if member.name.endswith(".dcm") else None
            if content:
                made.writestr(Path(member.name).name, content.read())
    return buffer.getvalue()


def main() -> None:
    """Write the figures into the card."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--implants", type=int, default=120)
    arguments = parser.parse_args()
    path = arguments.models / MODEL / "card.json"
    archive = arguments.data / "lidc_idri_0001_dicom" / "series.tar.xz"
    volume = assemble(_zipped(archive), Facts())
    models = Models(arguments.models)
    found = {"lidc_idri_0001": measure(archive, volume, models)}
    if arguments.implants:
        found["implanted"] = implanted(volume, models, arguments.implants)
    write_json(path, json.loads(path.read_text()) | found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
