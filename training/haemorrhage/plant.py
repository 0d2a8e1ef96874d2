"""Haemorrhage planted into slices that have none: places, densities and edges as blood lies.

A lens or a crescent under the skull (epidural, subdural), a blob in the brain, blood in the
ventricles and in the sulci. Grey values are those of the window -20 to 100 HU: fresh blood at
50 to 80 HU is 0.58 to 0.83, brain 0.4 to 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BLOOD = (0.58, 0.80)
AREA_MIN = 30
"""Pixels; smaller ones are not planted."""

KINDS = (0, 0, 1, 2, 3, 3, 3, 3, 4, 4)
"""How often each of `data.TYPES` is planted: as often as it can be seen in the set."""

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Random = np.random.Generator


def plant(plane: Grey, inside: Mask, random: Random) -> tuple[Grey, int, Grey] | None:
    """Return the slice with one haemorrhage, its type, its share per pixel; none if none fits."""
    if inside.sum() < 3000:
        return None
    kind = int(random.choice(KINDS))
    depth = ndimage.distance_transform_edt(inside)
    smooth = ndimage.gaussian_filter(plane, 2.0)
    makers = {0: _in_brain, 1: _in_ventricles, 2: _in_sulci, 3: _lens, 4: _crescent}
    mask = makers[kind](inside, depth, smooth, random)
    if mask.sum() < AREA_MIN:
        return None
    share = ndimage.gaussian_filter(mask.astype(np.float32), random.uniform(0.6, 1.4))
    share *= inside | mask
    level = random.uniform(*BLOOD)
    uneven = ndimage.gaussian_filter(random.normal(0, 1, plane.shape), random.uniform(3, 8))
    uneven *= random.uniform(0.0, 0.05) / max(float(uneven.std()), 1e-6)
    grain = (plane - smooth) * random.uniform(0.7, 1.1)
    made = plane * (1 - share) + (level + uneven + grain) * share
    if kind == 0 and random.random() < 0.6:
        rim = ndimage.gaussian_filter(mask.astype(np.float32), random.uniform(4, 8)) - share
        made -= np.clip(rim, 0, 1) * random.uniform(0.03, 0.12)
    return np.clip(made, 0, 1).astype(np.float32), kind, share


def _border_place(depth: Floats, random: Random) -> tuple[Floats, Floats]:
    """Return a place on the brain's border, and every pixel's distance to it."""
    border = np.argwhere((depth > 0) & (depth <= 1.5))
    place = border[random.integers(len(border))].astype(np.float64)
    rows, columns = np.indices(depth.shape)
    return place, np.hypot(rows - place[0], columns - place[1])


def _lens(inside: Mask, depth: Floats, smooth: Grey, random: Random) -> Mask:
    _, away = _border_place(depth, random)
    half, thick = random.uniform(10, 48), random.uniform(2.5, 20)
    thick = min(thick, 0.6 * half)
    return np.asarray(inside & (depth <= thick * (1 - (away / half) ** 2)))


def _crescent(inside: Mask, depth: Floats, smooth: Grey, random: Random) -> Mask:
    place, away = _border_place(depth, random)
    half, thick = random.uniform(40, 110), random.uniform(2.5, 11)
    side = np.sign(place[1] - inside.shape[1] / 2)
    columns = np.arange(inside.shape[1])[None, :] - inside.shape[1] / 2
    same_side = columns * side > -4
    profile = thick * np.sqrt(np.clip(1 - (away / half) ** 2, 0, 1))
    return np.asarray(inside & same_side & (depth <= profile))


def _in_brain(inside: Mask, depth: Floats, smooth: Grey, random: Random) -> Mask:
    places = np.argwhere(depth > 8)
    if not len(places):
        return np.zeros_like(inside)
    mask = np.zeros_like(inside)
    rows, columns = np.indices(inside.shape)
    middle = places[random.integers(len(places))].astype(np.float64)
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        at = middle + random.normal(0, 12, 2) * (mask.any())
        a, b = np.exp(random.uniform(np.log(3.5), np.log(22), 2))
        angle = random.uniform(0, np.pi)
        y, x = rows - at[0], columns - at[1]
        u = (y * np.cos(angle) + x * np.sin(angle)) / a
        v = (-y * np.sin(angle) + x * np.cos(angle)) / b
        rough = ndimage.gaussian_filter(random.normal(0, 1, inside.shape), 0.35 * min(a, b) + 1)
        rough *= 0.35 / max(float(rough.std()), 1e-6)
        mask |= np.sqrt(u * u + v * v) + rough < 1
    return np.asarray(mask & inside)


def _in_ventricles(inside: Mask, depth: Floats, smooth: Grey, random: Random) -> Mask:
    dark = (smooth < 0.33) & (depth > 22)
    labels, count = ndimage.label(dark)
    if not count:
        return np.zeros_like(inside)
    number = int(random.integers(count)) + 1
    space = ndimage.binary_dilation(labels == number, iterations=1)
    rows = np.argwhere(space)[:, 0]
    level = np.quantile(rows, random.uniform(0.0, 0.8))  # blood settles at the back
    return np.asarray(space & (np.indices(inside.shape)[0] >= level))


def _in_sulci(inside: Mask, depth: Floats, smooth: Grey, random: Random) -> Mask:
    places = np.argwhere(inside & (smooth < 0.38))
    if not len(places):
        return np.zeros_like(inside)
    middle = places[random.integers(len(places))]
    rows, columns = np.indices(inside.shape)
    near = np.hypot(rows - middle[0], columns - middle[1]) < random.uniform(14, 50)
    return np.asarray(inside & near & (smooth < random.uniform(0.34, 0.40)))
