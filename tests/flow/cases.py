"""Small cases for the flow tests, each with images, results, a note and an order of its own."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import generate_uid

from services.cli.mesh import ROOT

SAMPLES = ROOT / "samples"
AROUND_THE_NODULE = range(9, 25)
"""Slices of the sample, from 1; the nodule lies on 13 to 20."""
RESULTS = ("09-potassium.json", "12-creatinine.json", "15-alt.json")
DUE_TIME = "urn:dxmesh:fhir:StructureDefinition:due-time"


def make_case(
    folder: Path, name: str, *, priority: str = "routine", due: datetime | None = None
) -> Path:
    """Write a case under `folder`; the name makes its UIDs, its order and its note its own."""
    folder.mkdir(parents=True)
    for part in ("patient.json", "consent.json"):
        shutil.copy(SAMPLES / part, folder)
    for part in RESULTS:
        shutil.copy(SAMPLES / "labs" / part, folder)
    order = json.loads((SAMPLES / "service_request.json").read_text())
    order["identifier"][0]["value"] = f"DEMO-{name}"
    order["priority"] = priority
    if due:
        order["extension"] = [{"url": DUE_TIME, "valueDateTime": due.isoformat()}]
    (folder / "service_request.json").write_text(json.dumps(order))
    note = f"Chief complaint: cough for three weeks ({name}).\n\nPast history: hypertension.\n"
    (folder / "note.txt").write_text(note)
    write_images(folder / "ct", name)
    return folder


def write_images(folder: Path, name: str, **changes: Any) -> None:
    """Write the slices around the nodule under UIDs of the case's own."""
    folder.mkdir(parents=True)
    for number in AROUND_THE_NODULE:
        dataset = dcmread(SAMPLES / "ct" / f"slice-{number:02}.dcm")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, _uid(name, keyword))
        dataset.SOPInstanceUID = _uid(name, str(number))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{number:02}.dcm")


def spoil_pixels(folder: Path) -> None:
    """Overwrite the compressed pixels of every image with noise of the same length."""
    for path in folder.glob("*.dcm"):
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4096] = bytes(range(256)) * 16
        path.write_bytes(bytes(content))


def _uid(*what: str) -> str:
    return str(generate_uid(prefix="2.25.", entropy_srcs=["dxmesh flow", *what]))
