"""Measures the service on LIDC-IDRI-0001 and writes what came out into the model's card.

    python -m training.nodules.ct --data FOLDER [--models FOLDER]

Runs in the services' environment (`.[imaging]`), not in the training one.
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
from pathlib import Path

import numpy as np

from services.imaging.nodules import find, score
from services.imaging.series.assemble import Facts, assemble
from services.kernel.inference import OnnxInference
from training.nodules.card import MODEL, MODELS, write_json
from training.nodules.readers import consensus

CORNER_MM, PIXEL_MM, SLICE_MM = (-166.0, -171.7), 0.703125, 2.5


def measure(archive: Path, models: Path, operating_point: float) -> dict[str, object]:
    """Return what the service found beside what the readers drew."""
    truth = consensus(archive, CORNER_MM, PIXEL_MM, SLICE_MM)
    content = _zipped(archive)
    began = time.process_time()
    volume = assemble(content, Facts())
    proposal = find.propose(volume)
    asked = OnnxInference(models).infer(MODEL, {score.INPUT: proposal.crops})
    chances = score.probabilities(asyncio.run(asked)[score.OUTPUT])
    nodules = find.accept(volume, proposal, chances, operating_point)
    cpu_s = time.process_time() - began
    away = [float(np.linalg.norm(np.array(n.center_mm) - truth.center_mm)) for n in nodules]
    nearest = nodules[int(np.argmin(away))]
    return {
        "readers_volume_ml": round(truth.volume_mm3 / 1000, 2),
        "candidates": len(proposal.candidates),
        "reported": len(nodules),
        "distance_mm": round(min(away), 2),
        "volume_ml": round(nearest.measures.volume_mm3 / 1000, 2),
        "probability": round(nearest.probability, 3),
        "slices": [nearest.measures.first_slice, nearest.measures.last_slice],
        "cpu_s": round(cpu_s, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


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
    arguments = parser.parse_args()
    path = arguments.models / MODEL / "card.json"
    card = json.loads(path.read_text())
    archive = arguments.data / "lidc_idri_0001_dicom" / "series.tar.xz"
    point = float(card["operating_point"]["probability"])
    card["lidc_idri_0001"] = measure(archive, arguments.models, point)
    write_json(path, card)
    print(json.dumps(card["lidc_idri_0001"], indent=1))


if __name__ == "__main__":
    main()
