"""Inference: Triton over gRPC, or ONNX Runtime in this process where no Triton runs.

Both read one model repository (`<model>/config.pbtxt`, `<version>/model.onnx`,
`card.json`) and return the same numbers. Tensors are numpy arrays whose first axis is
the batch; batches above the model's limit are split.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from services.kernel import telemetry
from services.kernel.errors import InvalidInput, Unavailable

Tensors = Mapping[str, npt.NDArray[Any]]
BATCH_MAX = 64


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

    async def infer(self, model: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """Return the model's outputs, one row per input row.

        Raises
        ------
        Unavailable
            The server is away or the model is not loaded yet.
        InvalidInput
            The tensors are not what the model takes.
        """

    async def ready(self, model: str) -> bool:
        """Tell whether the model would answer now."""


def read_model(repository: Path, name: str) -> ModelInfo:
    """Return the newest version of a model in the repository."""
    folder = repository / name
    version = max((d.name for d in folder.iterdir() if d.name.isdigit()), key=int)
    digest = hashlib.sha256((folder / version / "model.onnx").read_bytes()).hexdigest()
    card = json.loads((folder / "card.json").read_text())
    return ModelInfo(name, str(card.get("version", version)), digest, card)


def open_inference(
    repository: Path, triton_url: str | None, *, shared_memory: bool, timeout_s: float
) -> Inference:
    """Return Triton's client where an address is set, else ONNX Runtime in this process."""
    if triton_url:
        return TritonInference(triton_url, shared_memory=shared_memory, timeout_s=timeout_s)
    return OnnxInference(repository)


def split(inputs: Tensors) -> list[dict[str, npt.NDArray[Any]]]:
    """Return the inputs cut into batches of at most `BATCH_MAX` rows."""
    rows = {len(tensor) for tensor in inputs.values()}
    if len(rows) != 1:
        raise InvalidInput("the input tensors do not have the same number of rows")
    count = rows.pop()
    return [
        {name: np.ascontiguousarray(tensor[at : at + BATCH_MAX]) for name, tensor in inputs.items()}
        for at in range(0, count, BATCH_MAX)
    ]


def join(outputs: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return batches put together again."""
    return {name: np.concatenate([batch[name] for batch in outputs]) for name in outputs[0]}


class OnnxInference:
    """Runs the repository's ONNX files in this process."""

    runtime = "onnxruntime"

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, Any] = {}

    async def infer(self, model: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            return await asyncio.to_thread(self._infer, model, inputs)

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        return (self._repository / model).is_dir()

    def _infer(self, model: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        import onnxruntime as ort  # heavy, and only for machines without Triton

        if model not in self._sessions:
            folder = self._repository / model
            version = max((d.name for d in folder.iterdir() if d.name.isdigit()), key=int)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            self._sessions[model] = ort.InferenceSession(
                str(folder / version / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        session = self._sessions[model]
        names = [output.name for output in session.get_outputs()]
        parts = []
        for batch in split(inputs):
            try:
                values = session.run(names, batch)
            except Exception as error:
                raise InvalidInput(f"{model} does not take these tensors") from error
            parts.append(dict(zip(names, values, strict=True)))
        return join(parts)


class TritonInference:
    """Triton's gRPC client; tensors pass through shared memory when on one host."""

    runtime = "triton"

    def __init__(self, url: str, *, shared_memory: bool, timeout_s: float) -> None:
        import tritonclient.grpc.aio as client

        self._client: Any = client.InferenceServerClient(url)
        self._api: Any = client
        self._shared = shared_memory
        self._timeout_s = timeout_s

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        from tritonclient.utils import InferenceServerException

        try:
            return bool(await self._client.is_model_ready(model))
        except InferenceServerException:
            return False

    async def infer(self, model: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            headers: dict[str, str] = {}
            telemetry.inject(headers)
            return join([await self._batch(model, batch, headers) for batch in split(inputs)])

    async def _batch(
        self, model: str, batch: dict[str, npt.NDArray[Any]], headers: dict[str, str]
    ) -> dict[str, npt.NDArray[Any]]:
        from tritonclient.utils import InferenceServerException

        send = self._through_memory if self._shared else self._through_message
        try:
            result, names = await send(model, batch, headers)
        except InferenceServerException as error:
            if str(error.status() or "").endswith("INVALID_ARGUMENT"):
                raise InvalidInput(f"{model} does not take these tensors") from error
            raise Unavailable("the inference server does not answer for a model") from error
        return {name: np.asarray(result.as_numpy(name)) for name in names}

    async def _through_message(
        self, model: str, batch: dict[str, npt.NDArray[Any]], headers: dict[str, str]
    ) -> tuple[Any, list[str]]:
        tensors = [self._tensor(name, value) for name, value in batch.items()]
        for tensor, value in zip(tensors, batch.values(), strict=True):
            tensor.set_data_from_numpy(value)
        return await self._ask(model, tensors, headers)

    async def _through_memory(
        self, model: str, batch: dict[str, npt.NDArray[Any]], headers: dict[str, str]
    ) -> tuple[Any, list[str]]:
        """Lay the inputs in one region, name it to Triton, take it away afterwards."""
        import tritonclient.utils.shared_memory as memory

        name = f"dxmesh_{os.getpid()}_{uuid4().hex}"
        size = sum(value.nbytes for value in batch.values())
        region = memory.create_shared_memory_region(name, f"/{name}", size)
        try:
            await asyncio.to_thread(
                partial(memory.set_shared_memory_region, region, list(batch.values()))
            )
            await self._client.register_system_shared_memory(name, f"/{name}", size)
            tensors, offset = [], 0
            for key, value in batch.items():
                tensor = self._tensor(key, value)
                tensor.set_shared_memory(name, value.nbytes, offset)
                tensors.append(tensor)
                offset += value.nbytes
            try:
                return await self._ask(model, tensors, headers)
            finally:
                await self._client.unregister_system_shared_memory(name)
        finally:
            memory.destroy_shared_memory_region(region)

    def _tensor(self, name: str, value: npt.NDArray[Any]) -> Any:
        from tritonclient.utils import np_to_triton_dtype

        return self._api.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))

    async def _ask(
        self, model: str, tensors: list[Any], headers: dict[str, str]
    ) -> tuple[Any, list[str]]:
        result = await self._client.infer(
            model, tensors, client_timeout=self._timeout_s, headers=headers
        )
        return result, [output.name for output in result.get_response().outputs]
