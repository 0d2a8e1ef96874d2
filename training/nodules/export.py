"""Writes the network into the model repository, and scores crops with what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from training.nodules.crops import SIDE, Grey
from training.nodules.network import Calibrated, CandidateNet

VERSION = "1"
OPSET = 17
INPUT, OUTPUT = "crops", "probability"
TOLERANCE = 1e-5

CONFIG = """\
# Scores crops around lung nodule candidates; see card.json.
name: "{name}"
backend: "onnxruntime"
max_batch_size: 64

# Grey values / 255: floor((HU + 1000) / 1400 * 255), one pixel per CT pixel.
input [
  {{
    name: "crops"
    data_type: TYPE_FP32
    dims: [ 1, 50, 50 ]
  }}
]

# Calibrated on the validation part.
output [
  {{
    name: "probability"
    data_type: TYPE_FP32
    dims: [ 1 ]
  }}
]

# A case asks with full batches; waiting longer than this for others does not pay.
dynamic_batching {{
  max_queue_delay_microseconds: 500
}}

# Raise the count, or set KIND_GPU, where several imaging pods share one server.
instance_group [
  {{
    count: 1
    kind: KIND_CPU
  }}
]
"""


def write(network: CandidateNet, scale: float, shift: float, folder: Path) -> None:
    """Write config.pbtxt and the ONNX file; check that both give the network's numbers."""
    model = Calibrated(network, scale, shift).eval()
    target = folder / VERSION / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    example = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    torch.onnx.export(
        model,
        (example,),
        str(target),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "crops"}, OUTPUT: {0: "crops"}},
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(str(target)), full_check=True)
    (folder / "config.pbtxt").write_text(CONFIG.format(name=folder.name))
    with torch.no_grad():
        expected = model(example).numpy()
    got = _session(folder).run([OUTPUT], {INPUT: example.numpy()})[0]
    difference = float(np.abs(got - expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"the exported network differs by {difference}")


def scores(folder: Path, grey: Grey) -> npt.NDArray[np.float64]:
    """Return the exported model's probabilities for crops, (n,)."""
    session = _session(folder)
    crops = grey[:, None].astype(np.float32) / np.float32(255)
    parts = [
        session.run([OUTPUT], {INPUT: crops[at : at + 256]})[0][:, 0]
        for at in range(0, len(crops), 256)
    ]
    return np.concatenate(parts).astype(np.float64)


def _session(folder: Path) -> onnxruntime.InferenceSession:
    path = folder / VERSION / "model.onnx"
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
