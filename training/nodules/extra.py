"""More crops for training, cut from LIDC slices of patients that no held-out crop shows.

The candidates (LUNA16) and the LIDC sets are cut from the same scans, so a nodule of the
validation or test part may stand in them. Held-out nodules are found there by their pixels, and
every patient one is found in is left out whole. Bright spots that readers did not draw are
further negatives; one that looks like any held-out crop is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from training.nodules import crops
from training.nodules.crops import SIDE, Grey
from training.nodules.lidc import PATCH, Patches, Slices, Window

WINDOW, FACTOR = 44, 2
BRIGHT, BLUR = 190, 3.0
"""Pictures are compared without what is slow in them: round nodules by a wall all look alike
otherwise. Grey above the first counts as the first."""

SAME = 0.6
"""Correlation of 44x44 pixels, at any shift, from which two crops may show one place."""

REACH_PATCH, REACH_CROP = 8, 3
AGREE = 3
"""Readers that must have marked a nodule: LUNA16's rule."""

SIGMAS = (1.2, 2.0, 3.2)
CONTRAST = 10.0
"""Least difference of Gaussians of a spot, grey levels."""

SPOTS_EACH = 3
FREE_PIXELS = 9.0
"""A spot lies this far from anything a reader drew."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Extra:
    """Crops (n, 50, 50) as `crops.to_grey` makes them, and which are nodules."""

    grey: Grey
    label: Ints
    patients_left_out: int


def gather(
    held_out: Grey, held_label: Ints, known: Patches, shown: Slices, window: Window
) -> Extra:
    """Return further nodules and spots of patients that the held-out crops do not show."""
    template = _template(held_out[held_label == 1])
    patches = crops.to_grey(known.hu)
    alike = _alike(patches, REACH_PATCH, template)
    seen = (alike >= SAME).any(axis=1)
    seen[alike.argmax(axis=0)] = True
    held = np.union1d(known.patient[seen], ["LIDC-IDRI-0001"])
    first = (known.readers >= AGREE) & ~np.isin(known.patient, held)
    edge = (PATCH - SIDE) // 2
    one = patches[first, edge : edge + SIDE, edge : edge + SIDE]
    usable = np.isfinite(window.slope) & ~np.isin(shown.patient, held)
    two, spots = _from_slices(shown, window, np.flatnonzero(usable))
    every = _template(held_out)
    two, spots = (cut[(_alike(cut, REACH_CROP, every) < SAME).all(axis=1)] for cut in (two, spots))
    grey = np.concatenate([one, two, spots])
    label = np.repeat([1, 0], [len(one) + len(two), len(spots)])
    return Extra(grey, label, len(held))


def _template(grey: Grey) -> torch.Tensor:
    first = (SIDE - WINDOW) // 2
    cut = _sharp(grey)[:, first : first + WINDOW, first : first + WINDOW]
    return _unit(_halved(cut))


def _sharp(grey: Grey) -> Floats:
    field = np.minimum(grey, BRIGHT).astype(np.float32)
    return field - ndimage.gaussian_filter(field, (0.0, BLUR, BLUR))


def _halved(windows: Floats) -> Floats:
    side = WINDOW // FACTOR
    return windows.reshape(len(windows), side, FACTOR, side, FACTOR).mean(axis=(2, 4))


def _unit(windows: Floats) -> torch.Tensor:
    flat = torch.from_numpy(windows.reshape(len(windows), -1).astype(np.float32))
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat / (flat.norm(dim=1, keepdim=True) + 1e-3)


def _alike(fields: Grey, reach: int, template: torch.Tensor) -> Floats:
    """Return each field's best correlation with each template near its centre, (fields, t)."""
    best = np.zeros((len(fields), len(template)), np.float32)
    centre = fields.shape[1] // 2
    first, last = centre - WINDOW // 2 - reach, centre + WINDOW // 2 + reach
    sharp = _sharp(fields)[:, first:last, first:last]
    for number, field in enumerate(sharp):
        windows = np.lib.stride_tricks.sliding_window_view(field, (WINDOW, WINDOW))
        places = _unit(_halved(windows.reshape(-1, WINDOW, WINDOW)))
        best[number] = (places @ template.T).max(dim=0).values.numpy()
    return best


def _from_slices(shown: Slices, window: Window, rows: Ints) -> tuple[Grey, Grey]:
    """Return crops around nodules that enough readers drew, and around free spots."""
    nodules: list[Grey] = []
    spots: list[Grey] = []
    votes = shown.votes()[rows]
    for number, row in enumerate(rows):
        hu = shown.grey[row].astype(np.float32) * window.slope[row] + window.base[row]
        grey = crops.to_grey(hu)
        agreed = votes[number] >= AGREE
        if agreed.any():
            place = ndimage.center_of_mass(agreed)
            cut = _cut(grey, round(float(place[0])), round(float(place[1])))
            nodules += [cut] if cut is not None else []
        spots += _spots(grey, votes[number] > 0)
    return np.stack(nodules), np.stack(spots)


def _spots(grey: Grey, drawn: npt.NDArray[np.bool_]) -> list[Grey]:
    """Return crops around the brightest spots away from what readers drew."""
    field = grey.astype(np.float32)
    away = ndimage.distance_transform_edt(~drawn) if drawn.any() else np.full(drawn.shape, 99.0)
    found: list[tuple[float, int, int]] = []
    for sigma in SIGMAS:
        narrow = ndimage.gaussian_filter(field, sigma)
        response = narrow - ndimage.gaussian_filter(field, sigma * 1.6)
        peak = response == ndimage.maximum_filter(response, size=7)
        places = np.argwhere(peak & (response > CONTRAST) & (away > FREE_PIXELS))
        found += [(-float(response[r, c]), int(r), int(c)) for r, c in places]
    kept: list[tuple[int, int]] = []
    cuts: list[Grey] = []
    for _, row, column in sorted(found):
        far = all((row - r) ** 2 + (column - c) ** 2 > 64 for r, c in kept)
        cut = _cut(grey, row, column) if far else None
        if cut is not None and cut[20:30, 20:30].mean() < 200 and np.median(cut) < 90:
            kept.append((row, column))
            cuts.append(cut)
        if len(cuts) == SPOTS_EACH:
            break
    return cuts


def _cut(grey: Grey, row: int, column: int) -> Grey | None:
    half = SIDE // 2
    cut = grey[max(row - half, 0) : row + half, max(column - half, 0) : column + half]
    return cut if cut.shape == (SIDE, SIDE) else None
