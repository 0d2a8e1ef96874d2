"""A slide of 100,000 x 100,000 pixels through the pathology reader with the shipped models.

    python -m benchmarks.pathology_slide [--blocks N]

The slide is made by tiling: glass, and N blocks of drawn tissue of 2,048 pixels. Half-way the
reading is stopped as by a kill and taken up again. Written: seconds, peak memory, nuclei.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from services.imaging.pathology.reader import PathologyReader
from services.imaging.reading import Context, Reading
from tests.imaging import slide_models, test_pathology

MODELS = Path(__file__).resolve().parents[1] / "deploy" / "triton" / "models"


class Asked:
    """The shipped models in this process, on one thread; stops after `lives` questions."""

    def __init__(self, lives: int = 1 << 30) -> None:
        self._sessions: dict[str, Any] = {}
        self.lives, self.rows = lives, 0

    def __call__(self, model: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.lives -= 1
        if self.lives < 0:
            raise slide_models.Killed
        if model not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._sessions[model] = onnxruntime.InferenceSession(
                str(MODELS / model / "1" / "model.onnx"), options, ["CPUExecutionProvider"]
            )
        session = self._sessions[model]
        self.rows += len(inputs["tiles"])
        name = session.get_outputs()[0].name
        parts = [
            session.run([name], {"tiles": inputs["tiles"][at : at + 8]})[0]
            for at in range(0, len(inputs["tiles"]), 8)
        ]
        return {name: np.concatenate(parts)}


def card(name: str) -> dict[str, Any]:
    """Return a model's card."""
    return dict(json.loads((MODELS / name / "card.json").read_text()))


def main() -> None:
    """Make the slide, stop half-way, go on, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = test_pathology.huge(Path(folder), blocks=arguments.blocks)
        kept = slide_models.Kept()
        before = _peak_mb()
        began = time.perf_counter()
        seen: list[float] = []
        try:
            _read(source, Asked(lives=4 * arguments.blocks), kept, seen)
        except slide_models.Killed:
            print(f"stopped at {seen[-1] if seen else 0:.0%}", flush=True)
        stopped = time.perf_counter() - began
        reading = _read(source, Asked(), kept, seen)
        took = time.perf_counter() - began
    measures = {one.name: round(one.value, 2) for one in reading.answer.measures}
    print(
        json.dumps(
            {
                "blocks": arguments.blocks,
                "seconds": round(took),
                "seconds_before_the_stop": round(stopped),
                "checkpoints": len(kept.content),
                "checkpoint_mb": round(sum(map(len, kept.content.values())) / 1e6, 1),
                "peak_mb_before": round(before),
                "peak_mb": round(_peak_mb()),
                **measures,
            },
            indent=1,
        )
    )


def _read(source: Any, ask: Asked, kept: Any, seen: list[float]) -> Reading:
    options = {"organ": "39607008"}
    context = Context(card=card, options=options, checkpoint=kept, progress=seen.append)
    return PathologyReader().read(source, context, ask)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
