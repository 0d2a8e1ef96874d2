"""What the tests here share; see telling.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def telling() -> Any:
    """The module telling.py; tests of one folder cannot import from another by name."""
    full = "gateway_critical_telling"
    if full not in sys.modules:
        path = Path(__file__).parent / "telling.py"
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec and spec.loader
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]
