"""How many pictures that are no X-rays of limbs the model's own guard declines."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from services.imaging.fractures import detect, prepare, quality
from services.imaging.series.radiograph import Grey, Radiograph
from training.fractures import export
from training.fractures.measure import SEED, Scored

SETS = {
    "head CT, brain window": "ct_ich_slices",
    "kidney, liver and other tissue, grey": "nuinsseg",
    "lung tissue, grey": "lc25000_lung_dedup",
}
PICTURES = 30


def declined(seen: detect.Seen) -> bool:
    """True when the reading declines an image whose header states no body part."""
    try:
        quality.after(Radiograph(grey=np.zeros((1, 1), np.float32), sop_uid=""), seen)
    except quality.NotALimbXray:
        return True
    return False


def measure(
    data: Path, session: onnxruntime.InferenceSession, known: Mapping[str, Scored]
) -> dict[str, dict[str, float]]:
    """Return the share declined of each foreign set, and of the parts of the set itself."""
    result = {}
    for name, folder in SETS.items():
        pictures = _some(data / folder / "images.tar")
        seen = [_look(grey, session) for grey in pictures]
        result[name] = _row(seen)
    noise = np.random.default_rng(SEED).random((PICTURES, 500, 420), np.float32)
    result["noise"] = _row([_look(grey, session) for grey in noise])
    for name, scored in known.items():
        result[f"FracAtlas, {name} part"] = _row(scored.seen)
    return result


def _row(seen: list[detect.Seen]) -> dict[str, float]:
    return {
        "images": len(seen),
        "declined": round(float(np.mean([declined(said) for said in seen])), 3),
        "median_unlike": round(float(np.median([said.unlike for said in seen])), 2),
    }


def _look(grey: Grey, session: onnxruntime.InferenceSession) -> detect.Seen:
    canvas = prepare.prepare(Radiograph(grey=grey, sop_uid=""))
    names = list(export.OUTPUTS)
    answer = session.run(names, {export.INPUT: canvas.tensor})
    return detect.seen(dict(zip(names, answer, strict=True)), canvas)


def _some(path: Path) -> list[Grey]:
    """Return grey pictures spread over an archive."""
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        chosen = members[:: max(1, len(members) // PICTURES)][:PICTURES]
        contents = [archive.extractfile(member) for member in chosen]
        return [
            np.asarray(Image.open(io.BytesIO(content.read())).convert("L")).astype(np.float32) / 255
            for content in contents
            if content is not None
        ]
