"""Writes the networks into the model repository, each checked against PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from training.pathology.lung_features import pooled
from training.pathology.lung_fit import Head
from training.pathology.network import Encoder, NucleusNet

OPSET = 17
TOLERANCE = 1e-5
NUCLEI, LUNG = "pathology_nuclei", "pathology_lung_tissue"

CONFIG = """\
# {about}; see card.json.
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8

# Red, green, blue / 255, at half a micrometre per pixel.
input [
  {{
    name: "tiles"
    data_type: TYPE_FP32
    dims: [ 3, {side}, {side} ]
  }}
]

# {says}
output [
  {{
    name: "{output}"
    data_type: TYPE_FP32
    dims: [ {dims} ]
  }}
]

# The newest version answers; the one before goes when it is loaded.
version_policy: {{ latest: {{ num_versions: 1 }} }}

# A slide asks with full batches; waiting longer than this for others does not pay. What waits
# longer than its caller does is dropped; a full queue is refused, and the bus holds the case.
dynamic_batching {{
  max_queue_delay_microseconds: 500
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: 60000000
    allow_timeout_override: true
    max_queue_size: 256
  }}
}}

# Raise the count, or set KIND_GPU, where several imaging pods share one server.
instance_group [
  {{
    count: 1
    kind: KIND_CPU
  }}
]

# Run once before it counts as ready, so that no case waits for memory to be planned.
model_warmup [
  {{
    name: "one"
    batch_size: 1
    inputs {{
      key: "tiles"
      value: {{ data_type: TYPE_FP32 dims: [ 3, {side}, {side} ] zero_data: true }}
    }}
  }}
]
"""


class NucleiModel(nn.Module):
    """Probability of nucleus, calibrated, and depth."""

    def __init__(self, network: NucleusNet, scale: float, shift: float) -> None:
        super().__init__()
        self.network = network
        gain = torch.tensor([scale, 1.0]).view(1, 2, 1, 1)
        offset = torch.tensor([shift, 0.0]).view(1, 2, 1, 1)
        self.register_buffer("gain", gain)
        self.register_buffer("offset", offset)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return maps, (n, 2, rows, columns), for tiles of 0 to 1."""
        return torch.sigmoid(self.network(tiles) * self.gain + self.offset)


class LungModel(nn.Module):
    """Frozen features and a linear head."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder = encoder
        width, classes = head.weight.shape
        self.head = nn.Linear(width, classes)
        self.head.weight.data = torch.from_numpy(head.weight.T.copy()).float()
        self.head.bias.data = torch.from_numpy(head.bias.copy()).float()

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return probabilities, (n, 3), for tiles of 0 to 1."""
        return torch.softmax(self.head(pooled(self.encoder, tiles)), 1)


def write_nuclei(network: NucleusNet, scale: float, shift: float, models: Path) -> None:
    """Write the nuclei model."""
    folder = models / NUCLEI
    _write(NucleiModel(network, scale, shift), 256, "maps", folder)
    text = CONFIG.format(
        about="Finds nuclei on haematoxylin and eosin", name=NUCLEI, side=256, output="maps",
        says="Probability of nucleus; depth inside one, 0 to 1.", dims="2, 256, 256",
    )  # fmt: skip
    (folder / "config.pbtxt").write_text(text)


def write_lung(encoder: Encoder, head: Head, models: Path) -> None:
    """Write the model of lung tissue."""
    folder = models / LUNG
    _write(LungModel(encoder, head), 224, "probability", folder)
    text = CONFIG.format(
        about="Tells benign lung and two carcinomas apart", name=LUNG, side=224,
        output="probability", says="Benign, adenocarcinoma, squamous cell carcinoma.", dims="3",
    )  # fmt: skip
    (folder / "config.pbtxt").write_text(text)


def session(models: Path, name: str) -> onnxruntime.InferenceSession:
    """Return an exported model, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = models / name / "1" / "model.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _write(model: nn.Module, side: int, output: str, folder: Path) -> None:
    model = model.eval().to(memory_format=torch.contiguous_format)
    target = folder / "1" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    example = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    torch.onnx.export(
        model, (example,), str(target), input_names=["tiles"], output_names=[output],
        dynamic_axes={"tiles": {0: "n"}, output: {0: "n"}}, opset_version=OPSET, dynamo=False,
    )  # fmt: skip
    onnx.checker.check_model(onnx.load(str(target)), full_check=True)
    with torch.no_grad():
        expected = model(example).numpy()
    got = session(folder.parent, folder.name).run([output], {"tiles": example.numpy()})[0]
    difference = float(np.abs(got - expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"the exported network differs by {difference}")
