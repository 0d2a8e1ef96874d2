"""A small convolutional network as a Triton model repository, written anew for a benchmark.

Two 3x3 convolutions of 16 channels over 128 x 128, each with ReLU: 1 MiB of float32 in, 1 MiB
out, 151 million floating-point operations. The file is written byte by byte, so that no package
is needed for it; field numbers are those of onnx.proto3, IR version 8, opset 13.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

NAME = "benchmark_conv"
INPUT, OUTPUT = "x", "y"
SHAPE = (1, 16, 128, 128)
LAYERS = 2
FLOAT, INTS = 1, 7
"""TensorProto.DataType and AttributeProto.AttributeType."""


def write(repository: Path) -> None:
    """Write the model under `repository`, as the project's own models lie."""
    folder = repository / NAME
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(_model())
    (folder / "card.json").write_text('{"version": "1"}')
    dims = ", ".join(str(size) for size in SHAPE[1:])
    (folder / "config.pbtxt").write_text(
        f'name: "{NAME}"\n'
        'backend: "onnxruntime"\n'
        "max_batch_size: 64\n"
        f'input [ {{ name: "{INPUT}" data_type: TYPE_FP32 dims: [ {dims} ] }} ]\n'
        f'output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: [ {dims} ] }} ]\n'
    )


def _model() -> bytes:
    """Return the ModelProto."""
    random = np.random.default_rng(1)
    channels = SHAPE[1]
    scale = np.float32(1 / np.sqrt(channels * 9))
    nodes, weights, tensor = b"", b"", INPUT
    for layer in range(LAYERS):
        values = random.standard_normal((channels, channels, 3, 3), dtype=np.float32) * scale
        after = OUTPUT if layer == LAYERS - 1 else f"relu{layer}"
        convolved, kernel = f"conv{layer}", f"kernel{layer}"
        nodes += _part(1, _node("Conv", [tensor, kernel], convolved, _pads()))
        nodes += _part(1, _node("Relu", [convolved], after))
        weights += _part(5, _tensor(kernel, values))
        tensor = after
    ends = _part(11, _value(INPUT)) + _part(12, _value(OUTPUT))
    graph = nodes + _part(2, NAME.encode()) + weights + ends
    return _number(1, 8) + _part(7, graph) + _part(8, _part(1, b"") + _number(2, 13))


def _node(kind: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    named = b"".join(_part(1, name.encode()) for name in inputs)
    return named + _part(2, output.encode()) + _part(4, kind.encode()) + attributes


def _pads() -> bytes:
    """One pixel on each side, so that a convolution keeps its size."""
    ones = b"".join(_number(8, 1) for _ in range(4))
    return _part(5, _part(1, b"pads") + ones + _number(20, INTS))


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, FLOAT) + _part(8, name.encode()) + _part(9, values.tobytes())


def _value(name: str) -> bytes:
    sizes = b"".join(_part(1, _number(1, size)) for size in SHAPE[1:])
    shape = _part(1, _part(2, b"batch")) + sizes
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
