"""Phantoms, and the open CTs beside the repository where they are."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "imaging"
MODELS = ROOT / "deploy" / "triton" / "models"


@pytest.fixture(scope="session")
def phantom() -> ModuleType:
    """The module phantom.py; tests of one folder cannot import from another by name."""
    name = "imaging_phantom"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "phantom.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def dicom_sources() -> ModuleType:
    """The module dicom_sources.py."""
    name = "imaging_dicom_sources"
    if name not in sys.modules:
        path = Path(__file__).parent / "dicom_sources.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def series_phantom() -> ModuleType:
    """The module series_phantom.py."""
    name = "imaging_series_phantom"
    if name not in sys.modules:
        path = Path(__file__).parent / "series_phantom.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def models() -> Path:
    """The model repository."""
    return MODELS


@pytest.fixture(scope="session")
def lidc_files() -> list[bytes]:
    """The DICOM files of LIDC-IDRI-0001 in the order of their names."""
    return _files(DATA / "lidc_idri_0001_dicom" / "series.tar.xz")


@pytest.fixture(scope="session")
def head_files() -> list[bytes]:
    """The DICOM files of a head CT with gantry tilt."""
    return _files(DATA / "head_ct_ge_dicom" / "series.tar.xz")


@pytest.fixture(scope="session")
def lidc_archive(phantom: ModuleType, lidc_files: list[bytes]) -> bytes:
    """LIDC-IDRI-0001 as de-identification hands a series over."""
    return bytes(phantom.archive(lidc_files))


def _files(path: Path) -> list[bytes]:
    if not path.is_file():
        pytest.skip(f"the open data set is not here: ../shared/data/imaging/{path.parent.name}")
    with tarfile.open(path) as members:
        named = [m for m in members.getmembers() if m.isfile() and m.name.endswith(".dcm")]
        extracted = [members.extractfile(m) for m in sorted(named, key=lambda m: m.name)]
        return [content.read() for content in extracted if content]
