"""What lies under the paths a person gives: FHIR resources, notes, DICOM files, the rest."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from services.cli.answers import USAGE, CliError
from services.kernel import fhir
from services.kernel.errors import MeshError

DICOM_OFFSET, DICOM_MARK = 128, b"DICM"
ZIP_MARK = b"PK\x03\x04"
TIFF_MARKS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
HEADER = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"]
DICOM_NAMES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True, slots=True)
class Instance:
    """One DICOM instance as its header names it."""

    study: str
    series: str
    uid: str
    sop_class: str
    modality: str


@dataclass(slots=True)
class Content:
    """Everything found."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    uploads: list[Path] = field(default_factory=list)
    """DICOM files and ZIP archives, sent as they are."""
    instances: list[Instance] = field(default_factory=list)
    slides: list[Path] = field(default_factory=list)
    """TIFF and SVS files; each is a study of its own."""
    skipped: list[Path] = field(default_factory=list)
    digest: str = ""
    """SHA-256 of everything that is sent: the same content is the same submission."""


def read(paths: Iterable[Path]) -> Content:
    """Return what lies in the files and folders; folders are walked, links not followed.

    Raises
    ------
    CliError
        A path that is not there, or JSON that cannot be read.
    """
    found = Content()
    total = hashlib.sha256()
    for path in _files(paths):
        kind = _sort(path, found)
        if kind:
            with path.open("rb") as source:
                total.update(hashlib.file_digest(source, "sha256").digest())
        else:
            found.skipped.append(path)
    found.digest = total.hexdigest()
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
            yield from sorted(p for p in inside if not any(x.startswith(".") for x in p.parts[1:]))
        elif path.is_file():
            yield path
        else:
            raise CliError(f"there is no {path}", USAGE)


def _sort(path: Path, found: Content) -> bool:
    """Add a file to what it belongs to; False: it is none of ours."""
    with path.open("rb") as source:
        head = source.read(DICOM_OFFSET + len(DICOM_MARK))
    suffix = path.suffix.lower()
    if head[DICOM_OFFSET:] == DICOM_MARK or suffix in DICOM_NAMES:
        found.uploads.append(path)
        found.instances += _instance(path)
    elif head.startswith(ZIP_MARK):
        found.uploads.append(path)
        found.instances += _archived(path)
    elif head.startswith(TIFF_MARKS):
        found.slides.append(path)
    elif suffix == ".json":
        found.resources += _resources(path)
    elif suffix == ".txt":
        found.notes.append(path.read_bytes())
    else:
        return False
    return True


def _instance(source: Path | IO[bytes]) -> list[Instance]:
    """Return what a header names; nothing when it cannot be read: ingest will say why."""
    # Here, for it takes half of the start of every command, and few send images.
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        header = dcmread(source, stop_before_pixels=True, specific_tags=[*HEADER])
        values = [str(header.get(name, "") or "") for name in HEADER]
    except (InvalidDicomError, OSError, ValueError, EOFError, KeyError, AttributeError):
        return []
    study, series, uid, sop_class, modality = values
    return [Instance(study, series, uid, sop_class, modality)] if study and series and uid else []


def _archived(path: Path) -> list[Instance]:
    found: list[Instance] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.is_dir() or entry.flag_bits & 1:
                    continue
                with archive.open(entry) as source:
                    found += _instance(source)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
        return found  # ingest refuses the archive and says why
    return found


def _resources(path: Path) -> list[dict[str, Any]]:
    try:
        value = fhir.parse(path.read_bytes())
    except MeshError as error:
        raise CliError(f"{path}: {error.message}", USAGE) from error
    if not isinstance(value, dict) or "resourceType" not in value:
        raise CliError(f"{path} is JSON but no FHIR resource", USAGE)
    if value["resourceType"] != "Bundle":
        return [value]
    entries = value.get("entry", [])
    return [entry["resource"] for entry in entries if isinstance(entry.get("resource"), dict)]
