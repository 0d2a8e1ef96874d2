"""Mutated files are refused or read; the long form is `make fuzz-imaging`."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pydicom
import pytest


@pytest.fixture(scope="module")
def series_fuzz() -> ModuleType:
    """The module series_fuzz.py; tests of one folder cannot import from another by name."""
    path = Path(__file__).parent / "series_fuzz.py"
    spec = importlib.util.spec_from_file_location("imaging_series_fuzz", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("DX-IMG-29")
def test_mutated_files_neither_crash_nor_hang(
    series_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pydicom.config.settings
    monkeypatch.setattr(settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(settings, "writing_validation_mode", pydicom.config.IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about what was spoilt
        found = series_fuzz.fuzz(200, seed=5)
    assert found.failures == []
    assert found.cases == 200
    assert found.longest_s < series_fuzz.HANG_S
