"""ONNX Runtime in this process: the repository's models where no Triton runs.

Used through `kernel.inference`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np

from services.kernel import telemetry
from services.kernel.errors import InvalidInput
from services.kernel.models import (
    BATCH_MAX,
    Batch,
    ModelGone,
    Tensors,
    batch_max,
    join,
    newest,
    split,
)


class OnnxInference:
    """Runs the repository's ONNX files in this process."""

    runtime = "onnxruntime"

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, tuple[Any, int]] = {}
        self._loading = threading.Lock()

    async def infer(self, model: str, inputs: Tensors) -> Batch:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            return await asyncio.to_thread(self.run, model, inputs)

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        try:
            return newest(self._repository, model).is_dir()
        except ModelGone:
            return False

    async def load(self, model: str) -> None:
        """See `Serving.load`."""
        await asyncio.to_thread(self._load, model)

    async def unload(self, model: str) -> None:
        """See `Serving.unload`; asked again, it is read again."""
        self._sessions.pop(model, None)

    async def close(self) -> None:
        """See `Inference.close`."""
        self._sessions.clear()

    def _load(self, model: str) -> None:
        """Read the newest version and run it once on zeros, which plans its memory."""
        import onnxruntime as ort  # heavy, and only for machines without Triton

        version = newest(self._repository, model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            session = ort.InferenceSession(
                str(version / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelGone(model, "cannot be loaded") from error
        shapes = {each.name: [1, *each.shape[1:]] for each in session.get_inputs()}
        if all(isinstance(size, int) for shape in shapes.values() for size in shape):
            with contextlib.suppress(Exception):  # not float32: its first request warms it
                session.run(None, {name: np.zeros(s, np.float32) for name, s in shapes.items()})
        config = version.parent / "config.pbtxt"
        rows = batch_max(config.read_text()) if config.is_file() else BATCH_MAX
        self._sessions[model] = (session, rows)

    def run(self, model: str, inputs: Tensors) -> Batch:
        """Return the model's outputs, in the caller's thread; see `Inference.infer`."""
        with self._loading:
            if model not in self._sessions:
                self._load(model)
            session, rows = self._sessions[model]
        names = [output.name for output in session.get_outputs()]
        parts = []
        for batch in split(inputs, rows):
            try:
                values = session.run(names, batch)
            except Exception as error:
                raise InvalidInput(f"{model} does not take these tensors") from error
            parts.append(dict(zip(names, values, strict=True)))
        return join(parts)
