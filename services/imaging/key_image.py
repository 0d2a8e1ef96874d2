"""A slice as a picture for people: lung window, nothing drawn into it."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

WINDOW_CENTER_HU, WINDOW_WIDTH_HU = -600.0, 1500.0


def png(plane: npt.NDArray[np.int16]) -> bytes:
    """Return a slice (rows, columns) in HU as an 8-bit grey PNG of the same size."""
    low = WINDOW_CENTER_HU - WINDOW_WIDTH_HU / 2
    scaled = np.clip((plane.astype(np.float32) - low) / WINDOW_WIDTH_HU, 0.0, 1.0)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(scaled * 255.0).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
