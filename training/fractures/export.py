"""Writes the network into the model repository: weights in half precision, sums in single."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from training.fractures.augment import NARROW, TALL
from training.fractures.shipped import BOXES, Shipped

MODEL = "xray_fracture"
VERSION = "1"
INPUT = "image"
OUTPUTS = {
    "probability": [1],
    "boxes": [BOXES, 5],
    "hardware": [1],
    "part": [4],
    "unlike": [1],
}
LARGE = 512
"""Weights of at least this many numbers are stored in half precision."""

TOLERANCE = 0.02
"""Largest difference of a probability that half precision may make on noise."""

HEAD = f"""\
# Finds fractures on X-rays of hand, leg, hip and shoulder; see card.json.
name: "{MODEL}"
backend: "onnxruntime"
max_batch_size: 8

# Grey values 0 to 1, bone bright; {TALL} rows by {NARROW} columns, or lying {NARROW} by {TALL}.
input [
  {{
    name: "{INPUT}"
    data_type: TYPE_FP32
    dims: [ 1, -1, -1 ]
  }}
]

# Calibrated on the validation part. boxes: x0, y0, x1, y1 on the canvas, probability; best first.
# part: hand, leg, hip, shoulder. unlike: 1 is as odd as the validation part's oddest hundredth.
output [
"""
TAIL = f"""\
]

# The newest version answers; the one before goes when it is loaded.
version_policy: {{ latest: {{ num_versions: 1 }} }}

# Radiographs come a few at a time; of one orientation they share a batch. What waits longer
# than its caller does is dropped; a full queue is refused, and the bus holds the case.
dynamic_batching {{
  max_queue_delay_microseconds: 500
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: 60000000
    allow_timeout_override: true
    max_queue_size: 64
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
      key: "{INPUT}"
      value: {{ data_type: TYPE_FP32 dims: [ 1, {TALL}, {NARROW} ] zero_data: true }}
    }}
  }}
]
"""


def write(network: Shipped, folder: Path) -> None:
    """Write config.pbtxt and the ONNX file; check its numbers against the network's."""
    target = folder / VERSION / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    example = torch.rand(2, 1, 128, 96, generator=torch.Generator().manual_seed(1))
    axes = {INPUT: {0: "images", 2: "rows", 3: "columns"}}
    torch.onnx.export(
        network.eval(),
        (example,),
        str(target),
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_axes=axes | {name: {0: "images"} for name in OUTPUTS},
        opset_version=17,
        dynamo=False,
    )
    onnx.save(halved(onnx.load(str(target))), str(target))
    onnx.checker.check_model(str(target), full_check=True)
    (folder / "config.pbtxt").write_text(HEAD + ",\n".join(_outputs()) + "\n" + TAIL)
    _compare(network, target)


def _outputs() -> list[str]:
    return [
        f'  {{\n    name: "{name}"\n    data_type: TYPE_FP32\n    dims: {dims}\n  }}'
        for name, dims in OUTPUTS.items()
    ]


def _compare(network: Shipped, target: Path) -> None:
    """Fail when the file's probabilities are not the network's, upright and lying."""
    running = session(target)
    for rows, columns in ((TALL, NARROW), (NARROW, TALL)):
        image = torch.rand(1, 1, rows, columns, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            expected = network(image)
        got = running.run(list(OUTPUTS), {INPUT: image.numpy()})
        for which in (0, 2, 3):
            difference = float(np.abs(got[which] - expected[which].numpy()).max())
            if difference > TOLERANCE:
                raise SystemExit(f"output {which} of the file differs by {difference}")


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights in half precision, cast back where they are used."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < LARGE:
            continue
        name = weight.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    return model


def session(path: Path) -> onnxruntime.InferenceSession:
    """Return the file in ONNX Runtime, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
