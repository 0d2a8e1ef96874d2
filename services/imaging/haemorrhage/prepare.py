"""From a head CT to what the network takes: the window it was trained in, the head's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging.haemorrhage import brain, frame
from services.imaging.haemorrhage.frame import COLUMNS, ROWS, Frame, Grey, Mask
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.volume import Volume

WINDOW_HU = (-20.0, 100.0)
"""Centre 40, width 120: what the training slices were made with; see the card."""

LENGTH_MM = (90.0, 235.0)
"""Of the skull from front to back, from a newborn's to the largest adult's."""

BRAIN_ML_MIN = 150.0
SLICES_MIN = 5
SLICES_MAX = 400
"""More are thinned before they are read: neighbours of under 2 mm show the same."""

BRAIN_HU = (15.0, 50.0)
"""Where the middle of the brain's CT numbers lies."""


class NotAHeadCt(SeriesRefused):
    """No skull with a brain in it."""

    code = "NOT_A_HEAD_CT"


@dataclass(frozen=True, slots=True)
class Head:
    """A head CT in its own frame. Slices are the volume's."""

    frame: Frame
    planes: Grey
    """float32 (n, ROWS, COLUMNS): grey values 0 to 1 of the window, in the frame."""

    inside: Mask
    """The space inside the skull, same shape."""

    pixel_mm: float
    """Of the frame."""

    brain_hu: float
    """Median inside the skull."""

    slice_mm: npt.NDArray[np.float64]
    """What each slice stands for along the stack, mm."""

    @property
    def brain_ml(self) -> float:
        """Space inside the skull that was scanned."""
        area_mm2 = self.inside.sum(axis=(1, 2)) * self.pixel_mm**2
        return float((area_mm2 * self.slice_mm).sum()) / 1000.0


def windowed(hu: npt.NDArray[np.int16]) -> Grey:
    """Return CT numbers as grey values, 0 to 1, rounded to 8 bits as the training slices are."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) * (255.0 / (high - low)), 0.0, 255.0)
    return np.asarray(np.floor(grey) / 255.0, np.float32)


def head(volume: Volume) -> Head:
    """Return the head in a CT.

    Raises
    ------
    NotAHeadCt
    """
    count = len(volume.hu)
    if not SLICES_MIN <= count <= SLICES_MAX:
        raise NotAHeadCt(f"a head CT of {SLICES_MIN} to {SLICES_MAX} slices is read", slices=count)
    grey = windowed(volume.hu)
    found = frame.find(grey)
    if found is None:
        raise NotAHeadCt("no skull was found", slices=count)
    own_mm = float(np.mean(volume.spacing_mm[1:]))
    pixel_mm = own_mm / found.scale
    length_mm = frame.LENGTH * pixel_mm
    if not LENGTH_MM[0] <= length_mm <= LENGTH_MM[1]:
        raise NotAHeadCt("what looks like a skull has not the size of one", length_mm=length_mm)
    planes = frame.into(grey, found)
    inside = brain.inside(planes)
    level = _brain_hu(planes, inside)
    made = Head(found, planes, inside, pixel_mm, level, volume.slice_mm())
    if made.brain_ml < BRAIN_ML_MIN:
        raise NotAHeadCt("too little brain inside a skull", brain_ml=made.brain_ml)
    if not BRAIN_HU[0] <= level <= BRAIN_HU[1]:
        raise NotAHeadCt("what the skull holds has not a brain's CT numbers", median_hu=level)
    return made


def inputs(made: Head) -> Grey:
    """Return the network's input, (n, 4, ROWS, COLUMNS): slice below, slice, above, inside."""
    count = len(made.planes)
    at = np.arange(count)
    below, above = np.maximum(at - 1, 0), np.minimum(at + 1, count - 1)
    stacked = np.empty((count, 4, ROWS, COLUMNS), np.float32)
    stacked[:, 0], stacked[:, 1] = made.planes[below], made.planes
    stacked[:, 2], stacked[:, 3] = made.planes[above], made.inside
    return stacked


def _brain_hu(planes: Grey, inside: Mask) -> float:
    low, high = WINDOW_HU
    held = planes[inside]
    return float(np.median(held)) * (high - low) + low if held.size else low
