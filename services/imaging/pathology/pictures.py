"""The slide at a glance, and the heat map over it, as PNG."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.imaging.pathology.tissue import Overview
from services.imaging.reading import HeatMap, Picture

SIDE_MAX = 1600
OPACITY = 0.55
COLD, HOT = np.array([49, 104, 142], np.float32), np.array([253, 190, 37], np.float32)
"""Blue and yellow, apart for colour-blind readers too."""

Pixels = npt.NDArray[np.uint8]


def overview(seen: Overview, sop_uid: str) -> Picture:
    """Return the slide, its longer side at most `SIDE_MAX`."""
    return _picture("overview", _fitting(seen), sop_uid)


def heat(seen: Overview, heat_map: HeatMap, mpp: float, sop_uid: str) -> Picture:
    """Return the slide with cells coloured from blue (0) to yellow (1) where one was judged."""
    base = _fitting(seen).astype(np.float32)
    rows, columns = base.shape[:2]
    cell_um = heat_map.cell_px * mpp
    scale_um = seen.mpp * seen.pixels.shape[1] / columns
    y = np.minimum((np.arange(rows) + 0.5) * scale_um / cell_um, heat_map.values.shape[0] - 1)
    x = np.minimum((np.arange(columns) + 0.5) * scale_um / cell_um, heat_map.values.shape[1] - 1)
    value = heat_map.values[y.astype(np.int64)][:, x.astype(np.int64)]
    known = np.isfinite(value)
    share = np.nan_to_num(value)[..., None]
    colour = COLD * (1 - share) + HOT * share
    mixed = np.where(known[..., None], base * (1 - OPACITY) + colour * OPACITY, base)
    return _picture("heat-map", np.rint(mixed).astype(np.uint8), sop_uid)


def _fitting(seen: Overview) -> Pixels:
    image = Image.fromarray(seen.pixels)
    image.thumbnail((SIDE_MAX, SIDE_MAX))
    return np.asarray(image)


def _picture(role: str, pixels: Pixels, sop_uid: str) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    rows, columns = pixels.shape[:2]
    return Picture(role, buffer.getvalue(), columns, rows, sop_uid=sop_uid, frame=0)
