"""The models that readers ask: missing ones, a server that is away, and being left alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dxmesh.imaging.v1 import imaging_service_pb2 as service_pb
from hypothesis import given
from hypothesis import strategies as st

from services.imaging.breaker import FAILURES_MAX, PAUSE_MAX_S, PAUSE_S, Breaker
from services.imaging.nodules.score import MODEL
from services.imaging.pulse import Pulse, Stopped
from services.imaging.reading import ModelMissing
from services.imaging.service import ImagingService
from services.imaging.store import ImagingStore
from services.imaging.triton import FAILS_MAX, Models
from services.kernel import inference
from services.kernel.errors import Unavailable
from services.kernel.models import ModelFails, ModelGone
from services.kernel.testing import memory_blobs

pytestmark = pytest.mark.requirement("DX-IMG-101")
INPUTS = {"x": np.zeros((1, 1), np.float32)}


class Clock:
    """Time that stands still until it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Says:
    """An inference server that answers as it is told."""

    runtime = "triton"

    def __init__(self, answer: Exception | None = None) -> None:
        self.answer = answer
        self.asked = 0
        self.loaded: list[str] = []

    async def infer(self, model: str, inputs: inference.Tensors) -> dict[str, Any]:
        self.asked += 1
        if self.answer:
            raise self.answer
        return {"y": np.ones((1, 1), np.float32)}

    async def ready(self, model: str) -> bool:
        return model in self.loaded

    async def load(self, model: str) -> None:
        if self.answer:
            raise self.answer
        self.loaded.append(model)

    async def unload(self, model: str) -> None:
        self.loaded.remove(model)

    async def close(self) -> None:
        return


async def test_server_that_fails_is_left_alone_and_then_tried_once(models: Path) -> None:
    clock, server = Clock(), Says(Unavailable("away"))
    asked = Models(server, models, clock)
    for _ in range(FAILURES_MAX):
        with pytest.raises(Unavailable):
            await asked.ask(MODEL, INPUTS)
    with pytest.raises(Unavailable) as caught:
        await asked.ask(MODEL, INPUTS)
    assert server.asked == FAILURES_MAX, "nobody asked it"
    assert caught.value.retry_after_s == PAUSE_S, "the bus gives the part back for so long"
    clock.now += PAUSE_S
    server.answer = None
    assert (await asked.ask(MODEL, INPUTS))["y"] == 1
    assert (await asked.ask(MODEL, INPUTS))["y"] == 1


async def test_one_model_that_does_not_answer_does_not_silence_the_others(models: Path) -> None:
    server = Says(Unavailable("away"))
    asked = Models(server, models, Clock())
    for _ in range(FAILURES_MAX):
        with pytest.raises(Unavailable):
            await asked.ask(MODEL, INPUTS)
    server.answer = None
    assert await asked.ask("another", INPUTS)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60))
def test_breaker_never_lets_more_than_one_try_through_in_a_pause(
    story: list[tuple[bool, float]],
) -> None:
    breaker, now, tries = Breaker(), 0.0, []
    for works, later in story:
        now += later
        if breaker.wait_s(now):
            assert breaker.wait_s(now) <= PAUSE_MAX_S
            continue
        tries.append(now)
        if works:
            breaker.succeeded()
        else:
            breaker.failed(now)
        if breaker.failures > FAILURES_MAX:
            assert tries[-1] - tries[-2] >= PAUSE_S


async def test_missing_model_is_told_and_is_no_outage(models: Path) -> None:
    server = Says(ModelGone(MODEL, "is not loaded in the inference server"))
    asked = Models(server, models, Clock())
    for _ in range(10):
        with pytest.raises(ModelMissing) as caught:
            await asked.ask(MODEL, INPUTS)
        assert caught.value.facts == {"model": MODEL}
        assert caught.value.retry_after_s is None


async def test_model_that_fails_again_and_again_declines_its_part(models: Path) -> None:
    server = Says(ModelFails("a model failed on what it was given"))
    asked = Models(server, models, Clock())
    for _ in range(FAILS_MAX - 1):
        with pytest.raises(ModelFails):
            await asked.ask(MODEL, INPUTS)
    with pytest.raises(ModelMissing) as caught:
        await asked.ask(MODEL, INPUTS)
    assert caught.value.facts["failures"] == str(FAILS_MAX)


async def test_models_are_loaded_before_the_first_part_and_a_missing_one_stops_nothing(
    models: Path,
) -> None:
    server = Says()
    await Models(server, models).start(["absent", MODEL])
    assert server.loaded == [MODEL]
    server.answer = Unavailable("away")
    await Models(server, models).start([MODEL])


async def test_question_from_a_thread_keeps_what_was_given(models: Path) -> None:
    beats: list[int] = []
    asked = Models(inference.OnnxInference(models), models)
    asking = asked.asking(asyncio.get_running_loop(), lambda: beats.append(1))
    crops = np.random.default_rng(1).random((70, 1, 50, 50), np.float32)
    parts = [crops[:30], crops[30:]]
    outputs = [await asyncio.to_thread(asking, MODEL, {"crops": part}) for part in parts]
    assert [len(each["probability"]) for each in outputs] == [30, 40]
    (use,) = asking.uses
    assert use.input_sha256 == hashlib.sha256(crops.tobytes()).hexdigest()
    assert len(beats) == 4


async def test_question_that_nobody_waits_for_is_not_asked(models: Path) -> None:
    server, pulse = Says(), Pulse(Clock())
    asking = Models(server, models).asking(asyncio.get_running_loop(), pulse.beat)
    pulse.stop()
    with pytest.raises(Stopped):
        await asyncio.to_thread(asking, MODEL, INPUTS)
    assert server.asked == 0


def test_progress_never_goes_back() -> None:
    pulse = Pulse(Clock())
    for share in (0.2, 0.1, 7.0):
        pulse.progress(share)
    assert pulse.done == 1.0


@pytest.mark.requirement("DX-IMG-09")
async def test_models_are_listed_with_their_cards(models: Path, tmp_path: Path) -> None:
    served = Models(inference.OnnxInference(models), models)
    service = ImagingService(served, [MODEL, "absent"], ImagingStore(memory_blobs(), tmp_path))
    listed, absent = (await service.ListModels(service_pb.ListModelsRequest(), None)).models
    info = inference.read_model(models, MODEL)
    assert (listed.name, listed.version, listed.ready) == (MODEL, info.version, True)
    card = json.loads(listed.card_json)
    assert card["sha256"] == info.sha256
    assert "not a medical device" in card["intended_use"]
    assert (absent.name, absent.ready, absent.version) == ("absent", False, "")
