"""The gateway under test; see world.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest


def _load() -> Any:
    """Return world.py; tests of one folder cannot import from another by name."""
    for name in ("fakes", "world", "telling"):
        path, full = Path(__file__).parent / f"{name}.py", f"gateway_{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, path)
            assert spec and spec.loader
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
    return sys.modules["gateway_world"]


@pytest.fixture(scope="session")
def setting() -> Any:
    """The module world.py: samples and makers."""
    return _load()


@pytest.fixture(scope="session")
def telling(setting: Any) -> Any:
    """The module telling.py: critical results as labs and imaging say them."""
    return sys.modules["gateway_telling"]


@pytest.fixture
async def world(setting: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """A gateway over SQLite, with fakes around it."""
    async with setting.open_world(tmp_path) as opened:
        yield opened
