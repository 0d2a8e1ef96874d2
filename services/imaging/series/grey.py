"""Stored values of an X-ray to grey as a viewer would show it.

Sources: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT, window functions), C.11.6
(presentation LUT shape), C.7.6.3.1.2 (photometric interpretation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from services.imaging.series.attributes import first, integer, number, numbers, upper
from services.imaging.series.radiograph import Grey
from services.imaging.series.refusals import UnsuitablePixels

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.int32]
Inside = npt.NDArray[np.bool_]

PERCENTILES = (1.0, 99.0)
CLIPPED_SHARE_MAX = 0.9
"""A stated window that leaves more pixels than this black or white is not believed."""

SAMPLE_STEP = 7


@dataclass(frozen=True, slots=True)
class Lut:
    """A lookup table: values from `first_mapped` on, ends extended."""

    entries: npt.NDArray[np.uint16]
    first_mapped: int
    bits: int

    def __call__(self, values: Floats) -> Floats:
        """Return the table's values, float32."""
        index = np.clip(values - self.first_mapped, 0, len(self.entries) - 1).astype(np.intp)
        return self.entries[index].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Scale:
    """What a header says of how stored values become grey."""

    modality_lut: Lut | None
    rescale: tuple[float, float]
    voi_lut: Lut | None
    window: tuple[float, float] | None
    function: str
    inverse: bool


def scale(dataset: Dataset) -> Scale:
    """Return the grey scale of a data set; of several windows or tables the first."""
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    signed = bool(integer(dataset, "PixelRepresentation"))
    shape = upper(dataset, "PresentationLUTShape")
    mono1 = upper(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return Scale(
        modality_lut=_lut(first(dataset, "ModalityLUTSequence"), signed=signed),
        rescale=(1.0 if slope is None else slope, 0.0 if intercept is None else intercept),
        voi_lut=_lut(first(dataset, "VOILUTSequence"), signed=signed),
        window=(centres[0], widths[0]) if centres and widths else None,
        function=upper(dataset, "VOILUTFunction") or "LINEAR",
        inverse={"INVERSE": True, "IDENTITY": False}.get(shape, mono1),
    )


def _lut(item: Dataset, *, signed: bool) -> Lut | None:
    described, data = item.get("LUTDescriptor"), item.get("LUTData")
    if described is None or data is None:
        return None
    count, first_mapped, bits = (int(part) for part in described)
    count = count & 0xFFFF or 1 << 16
    if signed and first_mapped >= 1 << 15:
        first_mapped -= 1 << 16
    if isinstance(data, bytes):
        kind = np.uint8 if len(data) < 2 * count else np.dtype("<u2")
        entries = np.frombuffer(data, kind).astype(np.uint16)
    else:
        entries = np.asarray(data, np.int64).astype(np.uint16)
    if not 8 <= bits <= 16 or len(entries) < count or count < 2:
        raise UnsuitablePixels(
            "a lookup table is not complete", entries=len(entries), stated=count, bits=bits
        )
    return Lut(entries[:count], first_mapped, bits)


def to_grey(stored: Values, inside: Inside, how: Scale) -> tuple[Grey, str]:
    """Return grey, float32, 0 to 1, and what set its scale ("voi-lut", "window", "sigmoid",
    "percentiles").

    inside : where pixels are no padding; the rest is 0

    Raises
    ------
    UnsuitablePixels
        All values are the same.
    """
    slope, intercept = how.rescale
    values = stored.astype(np.float32)
    if how.modality_lut is not None:
        values = how.modality_lut(values)
    elif (slope, intercept) != (1.0, 0.0) and slope != 0:
        values = values * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(values).all():
        raise UnsuitablePixels("the rescaling leads out of all numbers", slope=f"{slope:g}")
    sample = values[inside][::SAMPLE_STEP]
    if not sample.size or sample.min() == sample.max():
        raise UnsuitablePixels("all pixels have one value", pixels=int(stored.size))
    grey, source = _windowed(values, sample, how)
    if how.inverse:
        grey = 1 - grey
    grey[~inside] = 0
    return grey, source


def _windowed(values: Floats, sample: Floats, how: Scale) -> tuple[Grey, str]:
    """Return grey before any inversion; a window that cannot be meant is not applied."""
    if how.voi_lut is not None and _believable(_by_lut(sample, how.voi_lut)):
        return _by_lut(values, how.voi_lut), "voi-lut"
    if how.window is not None and how.window[1] > 0:
        name = "sigmoid" if how.function == "SIGMOID" else "window"
        if _believable(_by_window(sample, *how.window, how.function)):
            return _by_window(values, *how.window, how.function), name
    low, high = (float(end) for end in np.percentile(sample, PERCENTILES))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    return _unit((values - low) / (high - low)), "percentiles"


def _by_lut(values: Floats, lut: Lut) -> Grey:
    top = (1 << lut.bits) - 1
    highest = int(lut.entries.max())
    if highest < top / 2:  # a table of fewer bits than it states
        top = max(highest, 1)
    return _unit(lut(values) / np.float32(top))


def _by_window(values: Floats, centre: float, width: float, function: str) -> Grey:
    if function == "SIGMOID":
        power = np.clip(-4 * (values - centre) / width, -60, 60)
        return np.asarray(1 / (1 + np.exp(power)), np.float32)
    if function == "LINEAR_EXACT" or width <= 1:
        grey = (values - centre) / width + 0.5
    else:
        grey = (values - (centre - 0.5)) / (width - 1) + 0.5
    return _unit(grey)


def _unit(grey: Floats) -> Grey:
    return np.asarray(np.clip(grey, 0, 1), np.float32)


def _believable(sample: Grey) -> bool:
    clipped = float(((sample <= 0) | (sample >= 1)).mean())
    return clipped <= CLIPPED_SHARE_MAX and bool(sample.min() < sample.max())
