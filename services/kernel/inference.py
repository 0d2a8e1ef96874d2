"""Inference: Triton over gRPC, or ONNX Runtime in this process where no Triton runs.

Both read one model repository (`kernel.models`) and return the same numbers.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.kernel import telemetry
from services.kernel.errors import InvalidInput, Unavailable
from services.kernel.models import (
    BATCH_MAX,
    Batch,
    Inference,
    ModelFails,
    ModelGone,
    ModelInfo,
    Serving,
    Tensors,
    join,
    read_model,
    split,
)
from services.kernel.onnx import OnnxInference
from services.kernel.regions import Regions, places_of

__all__ = [
    "Inference",
    "ModelGone",
    "ModelInfo",
    "OnnxInference",
    "Serving",
    "Tensors",
    "TritonInference",
    "open_inference",
    "read_model",
]

log = logging.getLogger(__name__)

Shape = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]
"""A model and the shape of each of its inputs."""
Sizes = dict[str, int]
"""Bytes of each output."""

SHAPES_MAX = 256
AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
FAILED = ("INTERNAL", "UNKNOWN")
BUSY_S = 5.0
"""After which a server whose queue is full is asked again."""
LOAD_S = 120.0
"""Deadline of loading a model and of warming it up."""


def open_inference(
    repository: Path, triton_url: str | None, *, shared_memory: bool, timeout_s: float
) -> Serving:
    """Return Triton's client where an address is set, else ONNX Runtime in this process."""
    if triton_url:
        return TritonInference(triton_url, shared_memory=shared_memory, timeout_s=timeout_s)
    return OnnxInference(repository)


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
        self._rows: dict[str, int] = {}
        self._timeout_s = timeout_s

    async def ready(self, model: str) -> bool:
        """See `Inference.ready`."""
        from tritonclient.utils import InferenceServerException

        try:
            return bool(await self._client.is_model_ready(model, client_timeout=self._timeout_s))
        except InferenceServerException:
            return False

    async def load(self, model: str) -> None:
        """See `Serving.load`; a server without explicit control answers whether it is ready."""
        from tritonclient.utils import InferenceServerException

        try:
            await self._client.load_model(model, client_timeout=LOAD_S)
        except InferenceServerException as error:
            if _status(error) in AWAY and not await self._standing(model):
                raise Unavailable("the inference server does not answer") from error
            if not await self.ready(model):
                raise ModelGone(model, "cannot be loaded") from error
        self._rows.pop(model, None)

    async def unload(self, model: str) -> None:
        """See `Serving.unload`."""
        from tritonclient.utils import InferenceServerException

        try:
            await self._client.unload_model(model, client_timeout=LOAD_S)
        except InferenceServerException as error:
            raise Unavailable("the inference server does not unload a model") from error

    async def infer(self, model: str, inputs: Tensors) -> Batch:
        """See `Inference.infer`."""
        with telemetry.span(f"infer {model}", model=model, runtime=self.runtime):
            headers: dict[str, str] = {}
            telemetry.inject(headers)
            rows = await self._rows_of(model)
            batches = split(inputs, rows)
            return join([await self._batch(model, batch, headers) for batch in batches])

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
            raise await self._why(model, _status(error)) from error

    async def _why(self, model: str, status: str = "") -> Unavailable | ModelGone:
        """Tell a server that is away, starting or too busy from one without the model."""
        standing = await self._standing(model)
        if standing == "READY" and status in FAILED:
            return ModelFails("a model failed on what it was given")
        if standing == "READY":
            error = Unavailable("the inference server is too busy for a model")
            error.retry_after_s = BUSY_S
            return error
        if standing in ("", "LOADING"):
            return Unavailable("the inference server does not answer for a model")
        return ModelGone(model, "is not loaded in the inference server")

    async def _standing(self, model: str) -> str:
        """Return READY, LOADING, UNAVAILABLE or ABSENT; "" when the server is away."""
        from tritonclient.utils import InferenceServerException

        try:
            index = await self._client.get_model_repository_index(client_timeout=self._timeout_s)
        except InferenceServerException:
            return ""
        states = {entry.state for entry in index.models if entry.name == model}
        return next((state for state in ("READY", "LOADING") if state in states), "ABSENT")

    async def _rows_of(self, model: str) -> int:
        """Return the most rows that the model takes at once, as its server says."""
        from tritonclient.utils import InferenceServerException

        if model not in self._rows:
            try:
                answer = await self._client.get_model_config(model, client_timeout=self._timeout_s)
            except InferenceServerException as error:
                raise await self._why(model) from error
            self._rows[model] = max(1, min(int(answer.config.max_batch_size), BATCH_MAX))
        return self._rows[model]

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
        # Triton too drops what it could not begin in that time: nobody waits for it any more.
        return await self._client.infer(
            model,
            tensors,
            outputs=outputs,
            client_timeout=self._timeout_s,
            timeout=int(self._timeout_s * 1e6),
            headers=headers,
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
