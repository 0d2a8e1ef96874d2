"""Other people's validators find no error in any object: dciodvfy and dsrdump."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.dicom_out import write
from services.imaging.reading import ReadSource

MISREAD = "Only valid for AnnotationCoordinateType of 3D - attribute <CommonZCoordinateValue> = <>"
"""Debian's dciodvfy says so of every 2-D annotation: the attribute is not there."""


def check(read: list[ReadSource], folder: Path) -> list[str]:
    """Return the modality of each object; fail on any error of a validator."""
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dicom3tools (dciodvfy) is not installed")
    seen = []
    for number, one in enumerate(write.objects(read)):
        path = folder / f"{one.modality}-{number}.dcm"
        path.write_bytes(one.content)
        ran = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
        errors = [
            line
            for line in (ran.stdout + ran.stderr).splitlines()
            if line.startswith("Error") and MISREAD not in line
        ]
        assert errors == [], one.modality
        seen.append(one.modality)
        dump = shutil.which("dsrdump")
        if one.modality in ("SR", "KO") and dump:
            ran = subprocess.run([dump, str(path)], capture_output=True, text=True, check=False)
            assert ran.returncode == 0 and "E: " not in ran.stderr, ran.stderr
    return seen


@pytest.mark.requirement("DX-OUT-10")
def test_objects_of_phantoms_are_valid(
    phantom: ModuleType, dicom_sources: ModuleType, tmp_path: Path
) -> None:
    makers: dict[str, Any] = {
        "stack": dicom_sources.stack,
        "digital": dicom_sources.radiograph,
        "slide": dicom_sources.slide,
    }
    seen: dict[str, list[str]] = {}
    for name, make in makers.items():
        folder = tmp_path / name
        folder.mkdir()
        seen[name] = check([make(phantom, folder)], folder)
    (tmp_path / "computed").mkdir()
    plain = dicom_sources.radiograph(phantom, tmp_path / "computed", digital=False)
    seen["computed"] = check([plain], tmp_path / "computed")
    assert seen == {
        "stack": ["SEG", "SR", "KO"],
        "digital": ["SR", "PR", "KO"],
        "computed": ["SR", "PR", "KO"],
        "slide": ["SEG", "SEG", "ANN", "SR", "KO"],
    }


@pytest.mark.requirement("DX-OUT-10")
def test_objects_of_a_real_ct_are_valid(
    dicom_sources: ModuleType, lidc_files: list[bytes], tmp_path: Path
) -> None:
    paths = []
    for number, content in enumerate(lidc_files):
        paths.append(tmp_path / f"{number:04}.dcm")
        paths[-1].write_bytes(content)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    volume = dicom_sources.grid(headers)
    ball = np.hypot.reduce(np.mgrid[-4:5, -4:5, -4:5], axis=0) < 4.5
    starts = [(60, 300, 100), (62, 304, 104), (90, 200, 300)]
    lesions = [
        dicom_sources.nodule(n, volume, start, mask=ball) for n, start in enumerate(starts, 1)
    ]
    answer = pb.Answer(function=pb.FUNCTION_NODULES, operating_point=0.4)
    series = str(headers[0].SeriesInstanceUID)
    source = dicom_sources.read_source(volume, paths, lesions, answer, series=series)
    assert check([source], tmp_path) == ["SEG", "SR", "KO"]
