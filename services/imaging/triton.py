"""The models that readers ask: loaded before the first part, asked within limits.

Readers run in threads and ask through `Asking`, which hands each question to the event loop
and keeps what the report states of it: which model, which version, what it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dxmesh.event.v1.model_use_pb2 import ModelUse

from services.imaging.breaker import Breaker
from services.imaging.reading import ModelMissing, Tensors
from services.kernel import telemetry
from services.kernel.errors import Unavailable
from services.kernel.inference import ModelGone, ModelInfo, Serving, read_model
from services.kernel.models import Batch, ModelFails

log = logging.getLogger(__name__)

FAILS_MAX = 3
"""Answers in a row that were the model's own failure, before its part is declined."""


class Models:
    """The model repository and the server that runs it."""

    def __init__(
        self, serving: Serving, repository: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._serving = serving
        self._repository = repository
        self._clock = clock
        self._known: dict[str, ModelInfo] = {}
        self._breakers: dict[str, Breaker] = {}
        self._fails: dict[str, int] = {}

    @property
    def runtime(self) -> str:
        """Where models run, for provenance."""
        return self._serving.runtime

    async def start(self, names: Iterable[str]) -> None:
        """Load and warm every model that does not answer yet.

        One that is missing is said in the log; what needs it is declined when it comes. A
        server that is away now is asked again by the first reading.
        """
        for name in names:
            try:
                await asyncio.to_thread(self.info, name)
                if self.runtime == "onnxruntime" or not await self._serving.ready(name):
                    await self._serving.load(name)
            except (ModelMissing, ModelGone) as error:
                log.error("readings that need it are declined: %s", error.message)
                telemetry.failure("imaging.load", error.reason)
            except Unavailable:
                log.warning("the inference server is away: models are loaded when it is back")

    def info(self, name: str) -> ModelInfo:
        """Return a model's version, digest and card.

        Raises
        ------
        ModelMissing
        """
        if name not in self._known:
            try:
                self._known[name] = read_model(self._repository, name)
            except ModelGone as error:
                raise ModelMissing(error.message, model=name) from error
        return self._known[name]

    def card(self, name: str) -> Mapping[str, Any]:
        """Return a model's card; see `info`."""
        return self.info(name).card

    def version(self, name: str) -> str:
        """Return the digest of a model's file; "" when it is missing."""
        try:
            return self.info(name).sha256
        except ModelMissing:
            return ""

    def asking(self, loop: asyncio.AbstractEventLoop, alive: Callable[[], None]) -> Asking:
        """Return what one reading asks with; `alive` is told before and after each question."""
        return Asking(self, loop, alive)

    async def ready(self, name: str) -> bool:
        """Tell whether a model would answer now."""
        return await self._serving.ready(name)

    async def ask(self, name: str, inputs: Tensors) -> Batch:
        """Return a model's outputs; see `reading.Ask`.

        Raises
        ------
        Unavailable
            With the seconds after which to try again: the bus gives the part back for so long.
        """
        breaker = self._breakers.setdefault(name, Breaker())
        if wait_s := breaker.wait_s(self._clock()):
            away = Unavailable("a model did not answer several times: it is left alone for now")
            away.retry_after_s = wait_s
            raise away
        try:
            outputs = await self._serving.infer(name, inputs)
        except ModelGone as error:
            breaker.succeeded()  # the server answers; the model is another matter
            raise ModelMissing(error.message, model=name) from error
        except ModelFails as error:
            self._fails[name] = self._fails.get(name, 0) + 1
            if self._fails[name] >= FAILS_MAX:
                raise ModelMissing(
                    "a model failed again and again", model=name, failures=self._fails[name]
                ) from error
            raise
        except Unavailable:
            breaker.failed(self._clock())
            raise
        breaker.succeeded()
        self._fails.pop(name, None)
        return outputs


class Asking:
    """What one reading asks; fulfils `reading.Ask` from a thread."""

    def __init__(
        self, models: Models, loop: asyncio.AbstractEventLoop, alive: Callable[[], None]
    ) -> None:
        self._models = models
        self._loop = loop
        self._alive = alive
        self._given: dict[str, Any] = {}

    def __call__(self, model: str, inputs: Tensors) -> Batch:
        """Ask, and wait for the answer."""
        self._alive()
        info = self._models.info(model)
        digest = self._given.setdefault(info.name, hashlib.sha256())
        for name in sorted(inputs):
            digest.update(memoryview(inputs[name].tobytes()))
        asked = asyncio.run_coroutine_threadsafe(self._models.ask(model, inputs), self._loop)
        try:
            return asked.result()
        finally:
            self._alive()

    @property
    def uses(self) -> list[ModelUse]:
        """Which models spoke, in the order they were first asked, and on what."""
        return [
            ModelUse(
                name=info.name,
                version=info.version,
                model_sha256=info.sha256,
                input_sha256=digest.hexdigest(),
                runtime=self._models.runtime,
            )
            for name, digest in self._given.items()
            for info in [self._models.info(name)]
        ]
