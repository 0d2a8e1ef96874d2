"""Writes the network into the model repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from services.imaging.haemorrhage.frame import COLUMNS, ROWS
from services.imaging.haemorrhage.names import INPUT, MAP, PROBABILITY
from training.haemorrhage.dense import Dense
from training.haemorrhage.exported import VERSION, session
from training.haemorrhage.network import ROOM, Backbone, Reader, measured
from training.haemorrhage.pooled import LIMIT, Linear, pooled

OPSET = 17
TOLERANCE = 1e-4

CONFIG = """\
# Intracranial haemorrhage on slices of a head CT; see card.json.
name: "{name}"
backend: "onnxruntime"
max_batch_size: 16

# Slice below, slice, slice above: grey values of the window -20 to 100 HU, 0 to 1, in the head's
# frame; and the space inside the skull, 0 or 1. services/imaging/haemorrhage makes them.
input [
  {{
    name: "{input}"
    data_type: TYPE_FP32
    dims: [ 4, {rows}, {columns} ]
  }}
]

# Calibrated: any, intraparenchymal, intraventricular, subarachnoid, epidural, subdural, fracture.
# The map has cells of 8 pixels for any and the five types; it is not calibrated.
output [
  {{
    name: "{probability}"
    data_type: TYPE_FP32
    dims: [ 7 ]
  }},
  {{
    name: "{map}"
    data_type: TYPE_FP32
    dims: [ 6, 32, 28 ]
  }}
]

# The newest version answers; the one before goes when it is loaded.
version_policy: {{ latest: {{ num_versions: 1 }} }}

# A study asks with full batches; waiting longer than this for others does not pay. What waits
# longer than its caller does is dropped; a full queue is refused, and the bus holds the case.
dynamic_batching {{
  max_queue_delay_microseconds: 500
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: 60000000
    allow_timeout_override: true
    max_queue_size: 128
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
      key: "{input}"
      value: {{ data_type: TYPE_FP32 dims: [ 4, {rows}, {columns} ] zero_data: true }}
    }}
  }}
]
"""


@dataclass(frozen=True)
class Mix:
    """How the parts' logits make a probability, for each of the 7 outputs."""

    spreads: list[list[float]]
    """Of the reader, the layer and the dense networks."""

    scale: list[float]
    shift: list[float]


class Layer(nn.Module):
    """The linear layer on features of the whole slice."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        for name in ("middle", "spread", "weights"):
            self.register_buffer(name, torch.from_numpy(getattr(linear, name)).float())

    def forward(self, found: Tensor) -> Tensor:
        """Return (n, 7) of features (n, POOLED)."""
        scaled = ((found - self.middle) / self.spread).clamp(-LIMIT, LIMIT)
        return scaled @ self.weights[:-1] + self.weights[-1]


class Whole(nn.Module):
    """Backbone, measures, the mean of several readers that each see both sides, layer, dense part.

    Each part is divided by its spread over the folds; the sum is calibrated.
    """

    def __init__(self, readers: list[Reader], linear: Linear, dense: Dense, mix: Mix) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.readers = nn.ModuleList(readers)
        self.layer, self.dense = Layer(linear), dense
        for name in ("spreads", "scale", "shift"):
            self.register_buffer(name, torch.tensor(getattr(mix, name)))

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, 7) and maps (n, 6, 32, 28) of slices (n, 4, 256, 224)."""
        seen, inside = slices[:, :3], slices[:, 3:4]
        fine, coarse = self.backbone(seen)
        mirrored_fine, mirrored_coarse = self.backbone(seen.flip(3))
        cells = measured(seen[:, 1:2], inside)
        ways = (
            (torch.stack([fine, mirrored_fine], 1), torch.stack([coarse, mirrored_coarse], 1)),
            (torch.stack([mirrored_fine, fine], 1), torch.stack([mirrored_coarse, coarse], 1)),
        )
        logits, heat = 0.0, 0.0
        for reader in self.readers:
            one, first = reader(*ways[0], cells)
            other, second = reader(*ways[1], cells.flip(3))
            logits, heat = logits + one + other, heat + first + second.flip(3)
        count = 2.0 * len(self.readers)
        whole = pooled(*ways[0], cells)
        parts = torch.stack([logits / count, self.layer(whole), self.dense(whole)], 1)
        summed = (parts / self.spreads).sum(1)
        probability = torch.sigmoid(summed * self.scale + self.shift)
        room = (cells[:, 1:2] > ROOM).float()
        return probability, torch.sigmoid(heat / count) * room


def write(readers: list[Reader], linear: Linear, dense: Dense, mix: Mix, folder: Path) -> None:
    """Write config.pbtxt and the ONNX file; check that it gives the network's numbers."""
    model = Whole([reader.eval() for reader in readers], linear, dense, mix).eval()
    target = folder / VERSION / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    example = torch.rand(3, 4, ROWS, COLUMNS, generator=generator)
    example[:, 3] = (example[:, 3] > 0.3).float()
    names = [PROBABILITY, MAP]
    torch.onnx.export(
        model,
        (example,),
        str(target),
        input_names=[INPUT],
        output_names=names,
        dynamic_axes={name: {0: "slices"} for name in (INPUT, *names)},
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(str(target)), full_check=True)
    config = CONFIG.format(
        name=folder.name, input=INPUT, probability=PROBABILITY, map=MAP, rows=ROWS, columns=COLUMNS
    )
    (folder / "config.pbtxt").write_text(config)
    with torch.no_grad():
        expected = [value.numpy() for value in model(example)]
    got = session(folder).run(names, {INPUT: example.numpy()})
    for name, one, other in zip(names, expected, got, strict=True):
        difference = float(np.abs(one - other).max())
        print(f"{name}: ONNX differs by {difference:.1e}")
        if difference > TOLERANCE:
            raise SystemExit(f"the exported network differs by {difference}")


def write_backbone(path: Path) -> None:
    """Write the frozen start alone, for storing features."""
    example = torch.rand(2, 3, ROWS, COLUMNS)
    torch.onnx.export(
        Backbone(),
        (example,),
        str(path),
        input_names=["slices"],
        output_names=["fine", "coarse"],
        dynamic_axes={name: {0: "n"} for name in ("slices", "fine", "coarse")},
        opset_version=OPSET,
        dynamo=False,
    )
