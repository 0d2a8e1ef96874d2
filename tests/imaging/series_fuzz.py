"""Mutated files against the understanding of series: nothing may crash, hang or grow.

    python -m tests.imaging.series_fuzz [cases] [seed]

Begins with pydicom's own test files, the sample CT and phantoms in every coding, as they are
and relabelled as CT or X-ray so that damage reaches the pixels; spoils one file of each
archive, and reads it as the service does, compressed pixels in a process of their own. Each
case ends in sources or in a refusal with a reason; anything else is printed with its number,
which with the seed makes it again.
"""

from __future__ import annotations

import copy
import io
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from services.imaging.peers import DecoderProcess
from services.imaging.series import archive
from services.imaging.series.facts import Facts
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.understand import understand

ROOT = Path(__file__).parents[2]
HANG_S = 60
BYTES_MAX = 400_000
EXTREMES = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
VALUES: dict[str, tuple[Any, ...]] = {
    "Rows": (0, 1, 65535),
    "Columns": (0, 1, 65535),
    "BitsStored": (0, 1, 8, 12, 16, 32),
    "BitsAllocated": (0, 1, 8, 16, 32, 64),
    "HighBit": (0, 7, 15, 31),
    "PixelRepresentation": (0, 1, 7),
    "SamplesPerPixel": (0, 1, 3, 4),
    "NumberOfFrames": ("0", "-1", "2", "2147483647"),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "YBR_FULL", "PALETTE COLOR", ""),
    "RescaleSlope": ("0", "nan", "1e30", "-1", "inf"),
    "RescaleIntercept": ("nan", "1e38", ""),
    "PixelSpacing": (["0", "0"], ["nan", "1"], ["-1", "1"], ["1e-30", "1"], "1"),
    "ImagePositionPatient": (["nan", "0", "0"], ["1e30", "0", "0"], "0"),
    "ImageOrientationPatient": (["0"] * 6, ["1", "0", "0", "1", "0", "0"], "1"),
    "WindowWidth": ("0", "-5", "1e30"),
    "WindowCenter": ("nan", "1e30"),
    "SliceThickness": ("0", "nan"),
    "PixelPaddingValue": (0, 65535),
    "Modality": ("CT", "DX", "MR", ""),
}


@dataclass
class Found:
    """What came of it."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    decoder_deaths: int = 0
    memory_mb: int = 0


class Hang(BaseException):
    """A case took too long; no `except Exception` may swallow it."""


def seeds() -> list[list[bytes]]:
    """Return archives of small valid files; the first file of each is the one spoilt."""
    made: list[list[bytes]] = []
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(folder.glob("*.dcm")):
        content = path.read_bytes()
        if len(content) > BYTES_MAX:
            continue
        made.append([content])
        made += [archive for archive in _relabelled(content) for _ in range(2)]
    slices = [path.read_bytes() for path in sorted((ROOT / "samples" / "ct").glob("*.dcm"))[:4]]
    made += [slices] * 4
    made += [_written(_stack(syntax)) for syntax in CODINGS for _ in range(8)]
    made += [[_one(_enhanced())]] * 8
    return made


CODINGS = (
    *(ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless),
    *(JPEGLSLossless, JPEG2000Lossless),
)


def _relabelled(content: bytes) -> Iterator[list[bytes]]:
    """Yield a file's image as a stack of CT and as a radiograph."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        if "PixelData" not in dataset or "Rows" not in dataset:
            return
        stack = [_as_slice(copy.deepcopy(dataset), index) for index in range(3)]
        yield _written(stack)
        dataset.SOPClassUID, dataset.Modality = DigitalXRayImageStorageForPresentation, "DX"
        yield _written([dataset])
    except Exception:  # noqa: BLE001  # whatever pydicom raises
        return  # it was no valid file to begin with


def _as_slice(dataset: Dataset, index: int) -> Dataset:
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"2.25.{700 + index}"
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
    dataset.ImagePositionPatient = [0, 0, index * 2.5]
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.7]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -300
    return dataset


def _stack(syntax: str) -> list[Dataset]:
    made = []
    values = np.random.default_rng(3).integers(0, 900, (32, 32)).astype(np.uint16)
    for index in range(3):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        _as_slice(one, index)
        one.Rows, one.Columns, one.SamplesPerPixel = 32, 32, 1
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.PhotometricInterpretation, one.PixelData = "MONOCHROME2", values.tobytes()
        one["PixelData"].VR = "OW"
        if pydicom.uid.UID(syntax).is_encapsulated:
            one.compress(syntax, generate_instance_uid=False)
        else:
            one.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        made.append(one)
    return made


def _enhanced() -> Dataset:
    one = _stack(ExplicitVRLittleEndian)[0]
    one.NumberOfFrames, one.PixelData = 3, one.PixelData * 3
    one.PerFrameFunctionalGroupsSequence = []
    for index in range(3):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, index * 2.5]
        frame.PlanePositionSequence = [place]
        one.PerFrameFunctionalGroupsSequence.append(frame)
    return one


def _one(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _written(datasets: list[Dataset]) -> list[bytes]:
    return [_one(dataset) for dataset in datasets]


def spoil(content: bytes, chance: random.Random) -> bytes:
    """Return a file spoilt in one to four ways."""
    for _ in range(chance.randint(1, 4)):
        content = chance.choice(WAYS)(content, chance)
    return content


def _at(content: bytes, chance: random.Random) -> int:
    """Return a place, half of the time in the last half of the file: its pixels."""
    low = len(content) // 2 if chance.random() < 0.5 else 0
    return chance.randrange(low, max(len(content), low + 1))


def _flip(content: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if spoilt:
            spoilt[_at(content, chance) % len(spoilt)] = chance.choice(
                (0, 255, chance.randrange(256))
            )
    return bytes(spoilt)


def _extreme(content: bytes, chance: random.Random) -> bytes:
    spoilt, at = bytearray(content), _at(content, chance) & ~1
    value = struct.pack("<I", chance.choice(EXTREMES))[: chance.choice((2, 4))]
    spoilt[at : at + len(value)] = value
    return bytes(spoilt)


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: _at(content, chance)]


def _drop(content: bytes, chance: random.Random) -> bytes:
    at = _at(content, chance)
    return content[:at] + content[at + chance.randint(1, 64) :]


def _double(content: bytes, chance: random.Random) -> bytes:
    at, length = _at(content, chance), chance.randint(1, 256)
    return content[: at + length] + content[at:]


def _header(content: bytes, chance: random.Random) -> bytes:
    """Set one attribute to a value that it must not have."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        name = chance.choice(list(VALUES))
        value = chance.choice(VALUES[name])
        setattr(dataset, name, value)
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        return buffer.getvalue()
    except Exception:  # noqa: BLE001  # whatever pydicom raises
        return _flip(content, chance)  # it does not take the value, or is spoilt already


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _extreme, _cut, _drop, _double, _header, _header),
)


def fuzz(cases: int, seed: int, first: int = 0) -> Found:
    """Read spoilt archives and return what came of it."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    found, begins = Found(), seeds()
    decode = DecoderProcess()
    before = signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + cases):
            chance = random.Random(f"{seed}/{number}")
            files = list(begins[chance.randrange(len(begins))])
            files[0] = spoil(files[0], chance)
            _read(files, number, decode, found, Path(folder) if number % 8 == 0 else None)
    signal.signal(signal.SIGALRM, before)
    decode.close()
    found.decoder_deaths = decode.deaths
    found.memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def _alarm(*_: object) -> None:
    raise Hang


def _read(
    files: list[bytes], number: int, decode: DecoderProcess, found: Found, folder: Path | None
) -> None:
    began = time.monotonic()
    signal.alarm(HANG_S)
    try:
        zipped = _zip(files)
        opened = archive.spooled(zipped, folder) if folder else archive.held(zipped)
        sources = understand(opened, Facts(), decode)
        found.outcomes["READ " + type(sources[0]).__name__] += 1
    except SeriesRefused as error:
        found.outcomes[error.reason] += 1
    except Hang:
        found.failures.append(f"case {number} hung\n{traceback.format_exc()}")
    except Exception:  # noqa: BLE001  # what this looks for
        found.failures.append(f"case {number} crashed\n{traceback.format_exc()}")
    finally:
        signal.alarm(0)
    found.cases += 1
    found.longest_s = max(found.longest_s, time.monotonic() - began)


def _zip(files: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        for number, content in enumerate(files, start=1):
            made.writestr(f"{number:04}.dcm", content)
    return buffer.getvalue()


def main() -> None:
    """Run as many cases as asked for and print what came of them."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    began = time.monotonic()
    found = fuzz(cases, seed, first)
    for failure in found.failures[:20]:
        sys.stdout.write(f"{failure}\n")
    for outcome, count in found.outcomes.most_common():
        sys.stdout.write(f"{count:7} {outcome}\n")
    sys.stdout.write(
        f"{found.cases} cases in {time.monotonic() - began:.0f} s, {len(found.failures)} failures,"
        f" longest {found.longest_s:.2f} s, {found.decoder_deaths} decoders died,"
        f" {found.memory_mb} MB at most\n"
    )
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
