"""A frame as people look at it: decoded, windowed, scaled, as PNG or JPEG. No I/O.

Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT); PS3.18 8.3.5 (rendering).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from services.gateway.dicomweb import streams
from services.gateway.dicomweb.entries import UNREADABLE
from services.gateway.fhir.outcome import NotAcceptable
from services.kernel.errors import Damaged, InvalidInput, TooLarge, Violation

PIXELS_MAX = 150_000_000
SIDE_MAX, THUMBNAIL = 8192, 128
QUALITY_DEFAULT = 90
FUNCTIONS = ("linear", "linear-exact", "sigmoid")
Pixels = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class View:
    """What the client wants to see of a frame."""

    window: tuple[float, float, str] | None = None
    """Centre, width and function; None: as the image says."""
    size: tuple[int, int] | None = None
    """Largest columns and rows."""
    source: tuple[int, int, int, int] | None = None
    """Left, top, width, height of the part of the image to show."""
    quality: int = QUALITY_DEFAULT


def view_of(parameters: Mapping[str, str], *, thumbnail: bool = False) -> View:
    """Return the view that query parameters ask for.

    Raises
    ------
    InvalidInput
    """
    try:
        window = _window(parameters["window"]) if "window" in parameters else None
        size, source = (
            _viewport(parameters["viewport"]) if "viewport" in parameters else (None,) * 2
        )
        quality = int(parameters.get("quality", QUALITY_DEFAULT))
    except (IndexError, ValueError, OverflowError) as error:
        problem = Violation(
            "query", "window=centre,width,function; viewport=w,h[,x,y,w,h]; quality"
        )
        raise InvalidInput("the view cannot be made", [problem], reason="BAD_REQUEST") from error
    if not 1 <= quality <= 100:
        raise InvalidInput("quality is 1 to 100", reason="BAD_REQUEST")
    if thumbnail:
        size = size or (THUMBNAIL, THUMBNAIL)
    return View(window, size, source, quality)


def _window(text: str) -> tuple[float, float, str]:
    parts = text.split(",")
    centre, width = float(parts[0]), float(parts[1])
    function = parts[2].strip().lower() if len(parts) > 2 else "linear"
    if function not in FUNCTIONS or not np.isfinite([centre, width]).all() or width <= 0:
        raise ValueError
    return centre, width, function


def _viewport(
    text: str,
) -> tuple[tuple[int, int], tuple[int, int, int, int] | None]:
    numbers = [float(part) for part in text.split(",") if part.strip()]
    if len(numbers) not in (2, 6) or not all(np.isfinite(numbers)):
        raise ValueError
    columns, rows = (int(n) for n in numbers[:2])
    if not (1 <= columns <= SIDE_MAX and 1 <= rows <= SIDE_MAX):
        raise ValueError
    if len(numbers) == 2:
        return (columns, rows), None
    left, top, width, height = (int(n) for n in numbers[2:])
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError
    return (columns, rows), (left, top, width, height)


def one_frame(head: Dataset, syntax: str, content: bytes, number: int) -> Dataset:
    """Return a data set of one frame: what decoders need of the head, and the frame.

    Raises
    ------
    NotAcceptable
        The object is no image.
    Damaged
        The frame is of another size than the head says.
    TooLarge
    """
    rows, columns = int(head.get("Rows") or 0), int(head.get("Columns") or 0)
    if not rows or not columns:
        raise NotAcceptable("the instance is no image", reason="NOT_AN_IMAGE")
    if rows * columns > PIXELS_MAX:
        raise TooLarge("the image is too large to be drawn", reason="FRAME_TOO_LARGE")
    streams.check(content, head, syntax)
    dataset = Dataset()
    for element in head.group_dataset(0x0028):
        if element.keyword != "NumberOfFrames":  # the head is kept, and must stay as it is
            dataset.add(element)
    dataset.NumberOfFrames = 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    compressed = UID(syntax).is_encapsulated
    dataset.PixelData = (
        encapsulate([content]) if compressed else content + b"\0" * (len(content) % 2)
    )
    dataset["PixelData"].VR = (
        "OB" if compressed or int(head.get("BitsAllocated") or 8) <= 8 else "OW"
    )
    _lift(dataset, head, number)
    return dataset


def _lift(dataset: Dataset, head: Dataset, number: int) -> None:
    """Take rescale and window from the functional groups of an enhanced object."""
    groups = [*(head.get("SharedFunctionalGroupsSequence") or ())]
    frames = head.get("PerFrameFunctionalGroupsSequence") or ()
    if number <= len(frames):
        groups.append(frames[number - 1])
    wanted = {
        "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
        "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
    }
    for group in groups:
        for name, keywords in wanted.items():
            for item in group.get(name) or ():
                for keyword in keywords:
                    if keyword in item:
                        dataset.add(item[keyword])


def decoded(dataset: Dataset, *, raw: bool = False) -> Pixels:
    """Return the pixels of a one-frame data set; colours as RGB unless `raw`.

    Raises
    ------
    Damaged
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(pixel_array(dataset, raw=raw))
    except (*UNREADABLE, RuntimeError, MemoryError) as error:
        raise Damaged("the pixels of a frame do not decode") from error


def octets(dataset: Dataset) -> bytes:
    """Return a frame as Explicit VR Little Endian has it: uncompressed."""
    pixels = decoded(dataset, raw=True)
    if int(dataset.get("BitsAllocated") or 8) == 1:
        return np.packbits(pixels.ravel().astype(bool), bitorder="little").tobytes()
    little = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<")))
    by_plane = pixels.ndim == 3 and int(dataset.get("PlanarConfiguration") or 0)
    if by_plane and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        little = np.ascontiguousarray(np.moveaxis(little, -1, 0))
    return little.tobytes()


def modality_values(dataset: Dataset) -> Pixels:
    """Return grey values after the modality LUT, for example HU; (rows, columns)."""
    pixels = decoded(dataset)
    if int(dataset.get("SamplesPerPixel") or 1) == 1 and "PALETTE" not in _photometric(dataset):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = np.asarray(apply_modality_lut(pixels, dataset))
    return pixels


def draw(dataset: Dataset, view: View, kind: str) -> bytes:
    """Return a frame as a picture of type `kind`, "image/jpeg" or "image/png".

    Raises
    ------
    InvalidInput
        The part to show lies outside of it.
    Damaged
    """
    shades = _shades(dataset, view)
    image = Image.fromarray(shades)
    if view.source:
        left, top, width, height = view.source
        if left >= image.width or top >= image.height:
            raise InvalidInput("the view lies outside of the image", reason="BAD_REQUEST")
        image = image.crop(
            (left, top, min(left + width, image.width), min(top + height, image.height))
        )
    if view.size:
        image = _scaled(image, view.size)
    stream = io.BytesIO()
    if kind == "image/png":
        image.save(stream, "PNG", compress_level=3)
    else:
        image.save(stream, "JPEG", quality=view.quality)
    return stream.getvalue()


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    factor = min(size[0] / max(1, image.width), size[1] / max(1, image.height))
    target = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(target, Image.Resampling.BILINEAR)


def _photometric(dataset: Dataset) -> str:
    return str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")


def _shades(dataset: Dataset, view: View) -> npt.NDArray[np.uint8]:
    photometric = _photometric(dataset)
    pixels = decoded(dataset)
    if photometric == "PALETTE COLOR":
        colours = np.asarray(apply_color_lut(pixels, dataset))
        return np.asarray(colours >> 8 if colours.dtype == np.uint16 else colours, np.uint8)
    if pixels.ndim == 3:
        bits = int(dataset.get("BitsStored") or 8)
        return np.asarray(pixels >> max(0, bits - 8), np.uint8)
    if int(dataset.get("BitsAllocated") or 8) == 1:
        return np.asarray(np.where(pixels > 0, 255, 0), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(apply_modality_lut(pixels, dataset))
        shown = _windowed(values, dataset, view)
    return np.asarray(255 - shown if photometric == "MONOCHROME1" else shown, np.uint8)


def _windowed(values: Pixels, dataset: Dataset, view: View) -> npt.NDArray[np.uint8]:
    if view.window:
        centre, width, function = view.window
    elif dataset.get("VOILUTSequence") and "WindowCenter" not in dataset:
        values = np.asarray(apply_voi_lut(values.astype(int), dataset))
        return _stretched(values)
    elif dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth"):
        centre, width = (_first(dataset.get(k)) for k in ("WindowCenter", "WindowWidth"))
        function = str(dataset.get("VOILUTFunction") or "LINEAR").lower().replace("_", "-")
    else:
        return _stretched(values)
    grey = values.astype(np.float32)
    if function == "sigmoid":
        scaled = 1.0 / (1.0 + np.exp(np.clip(-4 * (grey - centre) / width, -60, 60)))
    elif function == "linear-exact" or width <= 1:
        scaled = (grey - centre) / max(width, 1e-6) + 0.5
    else:
        scaled = (grey - (centre - 0.5)) / (width - 1) + 0.5
    return np.asarray(np.clip(np.rint(scaled * 255), 0, 255), np.uint8)


def _first(value: object) -> float:
    several = isinstance(value, list | tuple) or (
        hasattr(value, "__iter__") and not isinstance(value, str)
    )
    return float(next(iter(value)) if several else value)  # type: ignore[call-overload,arg-type]


def _stretched(values: Pixels) -> npt.NDArray[np.uint8]:
    low, high = float(np.min(values)), float(np.max(values))
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.asarray(np.rint((values.astype(np.float32) - low) * scale), np.uint8)
