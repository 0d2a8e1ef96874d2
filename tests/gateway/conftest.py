"""The gateway under test; see world.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest


def _load() -> Any:
    name = "gateway_world"
    if name not in sys.modules:
        path = Path(__file__).parent / "world.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def setting() -> Any:
    """The module world.py: samples and makers."""
    return _load()


@pytest.fixture
async def world(setting: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """A gateway over SQLite, with fakes around it."""
    async with setting.open_world(tmp_path) as opened:
        yield opened
