"""Blanks regions of an image, every frame of it.

An uncompressed image is changed in place; a compressed one is decoded first and stays
uncompressed. What cannot be decoded here is set aside.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset
from pydicom.tag import BaseTag

from services.anonymization import codestream, files
from services.anonymization.disposition import InstanceSetAside, Masks

PIXEL_DATA = BaseTag(0x7FE00010)
PIXELS_MAX = 2_000_000_000
"""Values of one image that are decoded at most: a small file can claim to be huge."""


def blank(dataset: FileDataset, masks: Masks) -> None:
    """Blank the masked pixels of `dataset` in place.

    Raises
    ------
    InstanceSetAside
        The pixels cannot be decoded, or are not one value per byte or word.
    """
    try:
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _check_size(dataset)
                dataset.decompress()
        values = _values(dataset)
    except (*files.UNREADABLE, MemoryError) as error:
        raise InstanceSetAside(
            "an image with burned-in text cannot be decoded here", reason="CANNOT_MASK"
        ) from error
    keep = np.zeros(values.shape[1:3], dtype=bool)
    for x, y, width, height in masks.boxes:
        keep[max(y, 0) : y + height, max(x, 0) : x + width] = True
    blanked = ~keep if masks.outside else keep
    values[:, blanked] = _black(dataset, values.shape[3])
    planar = int(dataset.get("PlanarConfiguration") or 0)
    stored = np.moveaxis(values, 3, 1) if planar and values.shape[3] > 1 else values
    content = stored.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)


def strip_comments(dataset: FileDataset) -> None:
    """Overwrite comments inside compressed pixels, in place."""
    element = dataset._dict.get(PIXEL_DATA)
    syntax = dataset.file_meta.get("TransferSyntaxUID") if dataset.file_meta else None
    if element is None or syntax is None or not syntax.is_compressed or syntax.is_deflated:
        return
    content = element.value
    if isinstance(content, bytes):
        cleaned = codestream.without_comments(content)
        if cleaned is not content:
            dataset.PixelData = cleaned
            dataset["PixelData"].is_undefined_length = True


def _check_size(dataset: FileDataset) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    size = frames * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    if size > PIXELS_MAX:
        raise ValueError("an image is too large to decode")


def _values(dataset: FileDataset) -> npt.NDArray[np.unsignedinteger]:
    """Return a writable copy of the stored values, (frames, rows, columns, samples)."""
    bits = int(dataset.BitsAllocated)
    if bits not in (8, 16, 32) or "422" in str(dataset.PhotometricInterpretation):
        raise ValueError("stored values are not whole bytes of one pixel each")
    _check_size(dataset)
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.SamplesPerPixel)
    little = "<" if dataset.original_encoding[1] is not False else ">"
    shape = (frames, int(dataset.Rows), int(dataset.Columns), samples)
    count = int(np.prod(shape))
    flat = np.frombuffer(dataset.PixelData, dtype=f"{little}u{bits // 8}", count=count)
    if samples > 1 and int(dataset.get("PlanarConfiguration") or 0):
        return np.moveaxis(flat.reshape(frames, samples, *shape[1:3]), 1, 3).copy()
    return flat.reshape(shape).copy()


def _black(dataset: FileDataset, samples: int) -> npt.NDArray[np.int64]:
    """Return the stored value of black, one per sample."""
    photometric = str(dataset.PhotometricInterpretation)
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if photometric == "MONOCHROME1":
        return np.full(samples, (1 << bits) - 1)
    if photometric.startswith("YBR"):
        return np.array([0, 1 << (bits - 1), 1 << (bits - 1)])
    return np.zeros(samples, dtype=np.int64)
