"""The exported model in ONNX Runtime; needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from services.imaging.haemorrhage.names import INPUT, MAP, PROBABILITY

VERSION = "1"


def session(folder: Path) -> onnxruntime.InferenceSession:
    """Return the exported model, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = folder / VERSION / "model.onnx"
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def scores(
    folder: Path, stacked: npt.NDArray[np.float32], batch: int = 8
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Return the exported model's probabilities and maps of slices (n, 4, ROWS, COLUMNS)."""
    own = session(folder)
    answers = [
        own.run([PROBABILITY, MAP], {INPUT: stacked[at : at + batch]})
        for at in range(0, len(stacked), batch)
    ]
    return (
        np.concatenate([answer[0] for answer in answers]).astype(np.float64),
        np.concatenate([answer[1] for answer in answers]),
    )
