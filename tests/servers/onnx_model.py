"""A tiny ONNX model and its repository, written byte by byte: no package is needed for it.

`affine`: x (rows, 4) float32 → y = x·W + b and p = sigmoid(y), each (rows, 3) float32.
Field numbers are those of onnx.proto3, IR version 8, opset 13.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

MODEL = "affine"
W = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
B = np.array([0.5, -0.25, 0.125], dtype=np.float32)
FLOAT = 1
CONFIG = """name: "affine"
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [
  { name: "y" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "p" data_type: TYPE_FP32 dims: [ 3 ] }
]
dynamic_batching { }
instance_group [
  { count: 1 kind: KIND_GPU }
]
"""


def expected(x: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Return what the model must answer."""
    y = x @ W + B
    return {"y": y, "p": 1 / (1 + np.exp(-y))}


def write_repository(folder: Path) -> Path:
    """Write `affine/config.pbtxt`, `affine/1/model.onnx` and `affine/card.json`."""
    version = folder / MODEL / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(model_bytes())
    (folder / MODEL / "config.pbtxt").write_text(CONFIG)
    (folder / MODEL / "card.json").write_text(json.dumps({"version": "1.2.3"}))
    return folder


def model_bytes() -> bytes:
    """Return the ModelProto."""
    graph = b"".join(
        [
            _part(1, _node("MatMul", ["x", "W"], "xw")),
            _part(1, _node("Add", ["xw", "b"], "y")),
            _part(1, _node("Sigmoid", ["y"], "p")),
            _part(2, b"affine"),
            _part(5, _tensor("W", W)),
            _part(5, _tensor("b", B)),
            _part(11, _value("x", 4)),
            _part(12, _value("y", 3)),
            _part(12, _value("p", 3)),
        ]
    )
    opset = _part(1, b"") + _number(2, 13)
    return _number(1, 8) + _part(7, graph) + _part(8, opset)


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    named = b"".join(_part(1, name.encode()) for name in inputs)
    return named + _part(2, output.encode()) + _part(4, kind.encode())


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, FLOAT) + _part(8, name.encode()) + _part(9, values.tobytes())


def _value(name: str, columns: int) -> bytes:
    shape = _part(1, _part(2, b"rows")) + _part(1, _number(1, columns))
    return _part(1, name.encode()) + _part(2, _part(1, _number(1, FLOAT) + _part(2, shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
