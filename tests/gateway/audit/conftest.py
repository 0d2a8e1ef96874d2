"""A trail with a patient in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.audit.asking import Trail


@pytest.fixture
async def trail(world: Any, setting: Any) -> AsyncIterator[Trail]:
    made = Trail(world)
    answer = await made.send("PUT", "/fhir/Patient/p-1", setting.PATIENT)
    assert answer.status_code == 201, answer.text
    yield made
