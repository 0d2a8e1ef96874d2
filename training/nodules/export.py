"""Writes a network into the model repository, and asks what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

VERSION = "1"
OPSET = 17
TOLERANCE = 2e-5
BATCH = 64

CONFIG = """\
# {title}; see card.json.
name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}

# {about}
input [
{inputs}
]

output [
{outputs}
]

# The newest version answers; the one before goes when it is loaded.
version_policy: {{ latest: {{ num_versions: 1 }} }}

# A case asks with full batches; waiting longer than this for others does not pay. What waits
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
{warm}
  }}
]
"""
WARM = """\
    inputs {{
      key: "{name}"
      value: {{ data_type: TYPE_FP32 dims: [ {dims} ] zero_data: true }}
    }}"""
TENSOR = """\
  {{
    name: "{name}"
    data_type: TYPE_FP32
    dims: [ {dims} ]
  }}"""

Arrays = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's tensors, without the batch."""

    title: str
    about: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


def write(model: torch.nn.Module, shape: Shape, folder: Path, example: torch.Tensor) -> None:
    """Write config.pbtxt and the ONNX file; check that both give the network's numbers."""
    target = folder / VERSION / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    model = model.to(memory_format=torch.contiguous_format).eval()
    names = [*shape.inputs, *shape.outputs]
    torch.onnx.export(
        model,
        (example,),
        str(target),
        input_names=list(shape.inputs),
        output_names=list(shape.outputs),
        dynamic_axes={name: {0: "batch"} for name in names},
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(str(target)), full_check=True)
    (folder / "config.pbtxt").write_text(_config(folder.name, shape))
    with torch.no_grad():
        expected = model(example)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(expected, ask(folder, example.numpy(), list(shape.outputs)), strict=True):
        difference = float(np.abs(one.numpy() - other).max())
        if difference > TOLERANCE * max(1.0, float(one.abs().max())):
            raise SystemExit(f"the exported network differs by {difference}")


def ask(folder: Path, given: Arrays, outputs: Sequence[str]) -> list[Arrays]:
    """Return the exported model's outputs for its one input."""
    path = folder / VERSION / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [
        session.run(list(outputs), {name: given[at : at + BATCH]})
        for at in range(0, len(given), BATCH)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _config(name: str, shape: Shape) -> str:
    inputs, outputs = (
        ",\n".join(
            TENSOR.format(name=tensor, dims=", ".join(map(str, dims)))
            for tensor, dims in tensors.items()
        )
        for tensors in (shape.inputs, shape.outputs)
    )
    return CONFIG.format(
        title=shape.title,
        about=shape.about,
        name=name,
        batch=BATCH,
        inputs=inputs,
        outputs=outputs,
        warm="\n".join(
            WARM.format(name=tensor, dims=", ".join(map(str, dims)))
            for tensor, dims in shape.inputs.items()
        ),
    )
