"""Pictures of findings for people: nothing is drawn into the pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from PIL import Image

from services.imaging.reading import Picture
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.volume import Volume

WINDOW_CENTER_HU, WINDOW_WIDTH_HU = -600.0, 1500.0
"""Lung window, where a rule names none."""


def png(
    plane: npt.NDArray[np.int16],
    center_hu: float = WINDOW_CENTER_HU,
    width_hu: float = WINDOW_WIDTH_HU,
) -> bytes:
    """Return a slice (rows, columns) in HU as an 8-bit grey PNG of the same size."""
    low = center_hu - width_hu / 2
    return grey_png((plane.astype(np.float32) - low) / width_hu)


def grey_png(grey: npt.NDArray[np.float32]) -> bytes:
    """Return grey values (rows, columns), 0 to 1, as an 8-bit PNG of the same size."""
    buffer = io.BytesIO()
    scaled = np.rint(np.clip(grey, 0.0, 1.0) * 255.0).astype(np.uint8)
    Image.fromarray(scaled).save(buffer, "PNG")
    return buffer.getvalue()


def draw(source: object, place: pb.Place, options: Mapping[str, Any]) -> Picture | None:
    """Return the picture of the image that shows a finding; None of a slide: its reader draws."""
    if isinstance(source, Volume):
        center, width = _window(options)
        plane = source.hu[place.slice_index]
        rows, columns = plane.shape
        return Picture(
            role="slice",
            png=png(plane, center, width),
            width_px=columns,
            height_px=rows,
            sop_uid=place.sop_instance_uid,
            frame=place.frame,
            window=(center, width),
        )
    if isinstance(source, Radiograph):
        rows, columns = source.shape
        return Picture(
            role="radiograph",
            png=grey_png(source.grey),
            width_px=columns,
            height_px=rows,
            sop_uid=source.sop_uid,
            frame=source.frame,
        )
    return None


def _window(options: Mapping[str, Any]) -> tuple[float, float]:
    center, width = options.get("window", (WINDOW_CENTER_HU, WINDOW_WIDTH_HU))
    return float(center), float(width)
