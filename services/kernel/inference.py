"""Inference: Triton over gRPC, or ONNX Runtime in this process where no Triton runs.

Both read one model repository (`<model>/config.pbtxt`, `<version>/model.onnx`,
`card.json`) and return the same numbers. Tensors are numpy arrays whose first axis is
the batch; batches above the model's limit are split.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.kernel import telemetry
from services.kernel.errors import InvalidInput, Unavailable
from services.kernel.regions import Regions, places_of

log = logging.getLogger(__name__)

Tensors = Mapping[str, npt.NDArray[Any]]
Batch = dict[str, npt.NDArray[Any]]
Shape = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]
"""A model and the shape of each of its inputs."""
Sizes = dict[str, int]
"""Bytes of each output."""

BATCH_MAX = 64
SHAPES_MAX = 256
AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


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
            The server is away or the model is not loaded yet.
        InvalidInput
            The tensors are not what the model takes.
        """

    async def ready(self, model: str) -> bool:
        """Tell whether the model would answer now."""

    async def close(self) -> None:
        """Give back what is held; nothing is asked afterwards."""


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


def split(inputs: Tensors) -> list[Batch]:
    """Return the inputs cut into batches of at most `BATCH_MAX` rows."""
    rows = {len(tensor) for tensor in inputs.values()}
    if len(rows) != 1 or rows == {0}:
        raise InvalidInput("the input tensors do not have the same number of rows, or none")
    count = rows.pop()
    return [
        {name: np.ascontiguousarray(tensor[at : at + BATCH_MAX]) for name, tensor in inputs.items()}
        for at in range(0, count, BATCH_MAX)
    ]


def join(outputs: list[Batch]) -> Batch:
    """Return batches put together again."""
    if len(outputs) == 1:
        return outputs[0]
    return {name: np.concatenate([batch[name] for batch in outputs]) for name in outputs[0]}


class OnnxInference:
    """Runs the repository's ONNX files in this process."""

    runtime = "onnxruntime"

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, Any] = {}

    async def infer(self, model: str, inputs: Tensors) -> Batch:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            return await asyncio.to_thread(self._infer, model, inputs)

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        return (self._repository / model).is_dir()

    async def close(self) -> None:
        """See `Inference.close`."""
        self._sessions.clear()

    def _infer(self, model: str, inputs: Tensors) -> Batch:
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
    """Triton's gRPC client; tensors pass through shared memory when on one host.

    The size of a model's outputs is learned from its first answer; from then on they come
    through shared memory too.
    """

    runtime = "triton"

    def __init__(self, url: str, *, shared_memory: bool, timeout_s: float) -> None:
        import tritonclient.grpc.aio as client

        self._client: Any = client.InferenceServerClient(url)
        self._api: Any = client
        self._regions = Regions(self._client, timeout_s) if shared_memory else None
        self._sizes: dict[Shape, Sizes] = {}
        self._timeout_s = timeout_s

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        from tritonclient.utils import InferenceServerException

        try:
            return bool(await self._client.is_model_ready(model))
        except InferenceServerException:
            return False

    async def infer(self, model: str, inputs: Tensors) -> Batch:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            headers: dict[str, str] = {}
            telemetry.inject(headers)
            return join([await self._batch(model, batch, headers) for batch in split(inputs)])

    async def close(self) -> None:
        """See `Inference.close`."""
        if self._regions:
            await self._regions.close()
        await self._client.close()

    async def _batch(self, model: str, batch: Batch, headers: dict[str, str]) -> Batch:
        from tritonclient.utils import InferenceServerException

        try:
            if self._regions:
                return await self._through_memory(self._regions, model, batch, headers)
            return await self._through_message(model, batch, headers)
        except InferenceServerException as error:
            if _status(error) == "INVALID_ARGUMENT":
                raise InvalidInput(f"{model} does not take these tensors") from error
            raise Unavailable("the inference server does not answer for a model") from error

    async def _through_message(self, model: str, batch: Batch, headers: dict[str, str]) -> Batch:
        tensors = [self._tensor(name, value) for name, value in batch.items()]
        for tensor, value in zip(tensors, batch.values(), strict=True):
            tensor.set_data_from_numpy(value)
        return _values(await self._ask(model, tensors, None, headers))

    async def _through_memory(
        self, regions: Regions, model: str, batch: Batch, headers: dict[str, str]
    ) -> Batch:
        """Ask in a lent region; once more in a new one when Triton may have lost the old ones."""
        from tritonclient.utils import InferenceServerException

        shape: Shape = (model, tuple((name, value.shape) for name, value in batch.items()))
        try:
            try:
                return await self._in_region(regions, shape, batch, headers)
            except InferenceServerException as error:
                if _status(error) in AWAY:
                    raise
                regions.forget()
                self._sizes.pop(shape, None)
                return await self._in_region(regions, shape, batch, headers)
        except OSError:
            log.warning("no room in shared memory for %s: its tensors go as a message", model)
            return await self._through_message(model, batch, headers)

    async def _in_region(
        self, regions: Regions, shape: Shape, batch: Batch, headers: dict[str, str]
    ) -> Batch:
        """Lay the inputs in a region, and let Triton lay the outputs behind them."""
        sizes = self._sizes.get(shape, {})
        places = places_of([*(value.nbytes for value in batch.values()), *sizes.values()])
        async with regions.lent(places[-1]) as region:
            tensors, outputs = [], []
            for (name, value), place in zip(batch.items(), places, strict=False):
                await region.lay(value, place)
                tensors.append(self._tensor(name, value))
                tensors[-1].set_shared_memory(region.name, value.nbytes, place)
            for (name, size), place in zip(sizes.items(), places[len(batch) :], strict=False):
                outputs.append(self._api.InferRequestedOutput(name))
                outputs[-1].set_shared_memory(region.name, size, place)
            result = await self._ask(shape[0], tensors, outputs or None, headers)
            if not sizes:
                self._learn(shape, found := _values(result))
                return found
            return {
                name: region.view(*_kind(result.get_output(name)), place).copy()
                for name, place in zip(sizes, places[len(batch) :], strict=False)
            }

    def _learn(self, shape: Shape, outputs: Batch) -> None:
        if len(self._sizes) >= SHAPES_MAX:
            self._sizes.clear()
        if not any(value.dtype.hasobject for value in outputs.values()):
            self._sizes[shape] = {name: value.nbytes for name, value in outputs.items()}

    def _tensor(self, name: str, value: npt.NDArray[Any]) -> Any:
        from tritonclient.utils import np_to_triton_dtype

        return self._api.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))

    async def _ask(
        self, model: str, tensors: list[Any], outputs: list[Any] | None, headers: dict[str, str]
    ) -> Any:
        return await self._client.infer(
            model, tensors, outputs=outputs, client_timeout=self._timeout_s, headers=headers
        )


def _values(result: Any) -> Batch:
    """Return the outputs that an answer carries itself."""
    names = [output.name for output in result.get_response().outputs]
    return {name: np.asarray(result.as_numpy(name)) for name in names}


def _kind(output: Any) -> tuple[npt.DTypeLike, tuple[int, ...]]:
    """Return type and shape of an output as the answer states them."""
    from tritonclient.utils import triton_to_np_dtype

    return np.dtype(triton_to_np_dtype(output.datatype)), tuple(output.shape)


def _status(error: Any) -> str:
    """Return the gRPC status of Triton's error, "INVALID_ARGUMENT"."""
    return str(error.status() or "").removeprefix("StatusCode.")
