"""Thin slices averaged to about the thickness the network was trained on, and masks taken back."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from services.imaging.series.volume import Volume

SLAB_MM = 5.0
THIN_MM = 2.6
"""From here on slices are read as they are."""


def thicken(volume: Volume) -> tuple[Volume, npt.NDArray[np.int64]]:
    """Return the volume in slabs of about `SLAB_MM`, and each slab's first slice, (slabs + 1,).

    A slab's HU are the mean of its slices; its position is the mean of theirs.
    """
    own = volume.slice_mm()
    count = len(volume.hu)
    if float(np.median(own)) >= THIN_MM:
        return volume, np.arange(count + 1)
    step = max(2, round(SLAB_MM / float(np.median(own))))
    starts = np.arange(0, count, step)
    if len(starts) > 1 and count - starts[-1] < (step + 1) // 2:
        starts = starts[:-1]  # too little is left over: the last slab takes it
    bounds = np.append(starts, count)
    middles = (bounds[:-1] + bounds[1:] - 1) / 2
    nearest = middles.astype(np.int64)
    corners = volume.to_patient(np.stack([middles, middles * 0, middles * 0], axis=1))
    hu = np.stack(
        [
            np.rint(volume.hu[a:b].mean(axis=0, dtype=np.float32)).astype(np.int16)
            for a, b in itertools.pairwise(bounds.tolist())
        ]
    )
    middle_mm = np.cumsum(own) - own / 2
    at = np.interp(middles, np.arange(count), middle_mm)
    affine = volume.affine.copy()
    if len(corners) > 1:
        affine[:3, 0] = (corners[-1] - corners[0]) / (len(corners) - 1)
    affine[:3, 3] = corners[0]
    made = dataclasses.replace(
        volume,
        hu=hu,
        affine=affine,
        sop_uids=tuple(volume.sop_uids[i] for i in nearest),
        frames=tuple(volume.frames[i] for i in nearest) if volume.frames else (),
        positions_mm=corners,
        even=False,
        gaps_mm=tuple(float(gap) for gap in np.diff(at)),
    )
    return made, bounds


def thin(
    mask: npt.NDArray[np.bool_], start: int, bounds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], int]:
    """Return a mask of slabs on the slices themselves, and its first slice."""
    repeats = np.diff(bounds)[start : start + len(mask)]
    return np.repeat(mask, repeats, axis=0), int(bounds[start])
