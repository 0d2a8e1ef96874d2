"""The model repository as every server reads it, and what a service asks of a server.

`<model>/config.pbtxt` names tensors and batch, `<version>/model.onnx` is the network,
`card.json` says what it was trained and measured on. Tensors are numpy arrays whose first
axis is the batch; batches above the limit are split. Used through `kernel.inference`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.kernel.errors import InvalidInput, NotFound, Unavailable

Tensors = Mapping[str, npt.NDArray[Any]]
Batch = dict[str, npt.NDArray[Any]]

BATCH_MAX = 64


class ModelGone(NotFound):
    """The server is there, but not this model: it was not loaded, or could not be."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"the model {model} {why}", reason="MODEL_MISSING", model=model)


class ModelFails(Unavailable):
    """The server is there and has the model, but the model failed on what it was given.

    Once may be a lack of memory; again and again is the model.
    """


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model of the repository: its name, version, file digest and card."""

    name: str
    version: str
    sha256: str
    card: dict[str, Any]


class Inference(Protocol):
    """What a service asks of an inference server."""

    runtime: str
    """ "triton" or "onnxruntime", for the provenance of a finding."""

    async def infer(self, model: str, inputs: Tensors) -> Batch:
        """Return the model's outputs, one row per input row.

        Raises
        ------
        Unavailable
            The server is away, too busy, or the model is not loaded yet. `ModelFails`: the
            model itself failed.
        ModelGone
            The server is there, but not the model.
        InvalidInput
            The tensors are not what the model takes.
        """

    async def ready(self, model: str) -> bool:
        """Tell whether the model would answer now."""

    async def close(self) -> None:
        """Give back what is held; nothing is asked afterwards."""


class Serving(Inference, Protocol):
    """An inference server whose models can be loaded and unloaded by name."""

    async def load(self, model: str) -> None:
        """Load a model's newest version and warm it up; the old one answers until then.

        Raises
        ------
        ModelGone
            It is not in the repository, or it cannot be loaded.
        Unavailable
        """

    async def unload(self, model: str) -> None:
        """Let a model go; what it has begun to answer is finished."""


def newest(repository: Path, name: str) -> Path:
    """Return the folder of a model's newest version.

    Raises
    ------
    ModelGone
    """
    folder = repository / name
    versions = [each for each in folder.iterdir() if each.name.isdigit()] if folder.is_dir() else []
    found = [each for each in versions if (each / "model.onnx").is_file()]
    if not found:
        raise ModelGone(name, "is not in the model repository")
    return max(found, key=lambda each: int(each.name))


def read_model(repository: Path, name: str) -> ModelInfo:
    """Return the newest version of a model in the repository.

    Raises
    ------
    ModelGone
    """
    version = newest(repository, name)
    digest = hashlib.sha256((version / "model.onnx").read_bytes()).hexdigest()
    try:
        card = json.loads((version.parent / "card.json").read_text())
    except (OSError, ValueError) as error:
        raise ModelGone(name, "has no card that can be read") from error
    return ModelInfo(name, str(card.get("version", version.name)), digest, card)


def batch_max(config: str) -> int:
    """Return the most rows that a model takes at once, from the text of its config.pbtxt."""
    found = re.search(r"^\s*max_batch_size\s*:\s*(\d+)", config, re.MULTILINE)
    return max(1, min(int(found.group(1)), BATCH_MAX)) if found else BATCH_MAX


def split(inputs: Tensors, limit: int = BATCH_MAX) -> list[Batch]:
    """Return the inputs cut into batches of at most `limit` rows."""
    rows = {len(tensor) for tensor in inputs.values()}
    if len(rows) != 1 or rows == {0}:
        raise InvalidInput("the input tensors do not have the same number of rows, or none")
    count = rows.pop()
    return [
        {name: np.ascontiguousarray(tensor[at : at + limit]) for name, tensor in inputs.items()}
        for at in range(0, count, limit)
    ]


def join(outputs: list[Batch]) -> Batch:
    """Return batches put together again."""
    if len(outputs) == 1:
        return outputs[0]
    return {name: np.concatenate([batch[name] for batch in outputs]) for name in outputs[0]}
