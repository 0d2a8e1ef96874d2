"""One projection X-ray as a grey picture that means the same from every device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """Grey values as a viewer would show them; bone is bright."""

    grey: Grey
    """float32, (rows, columns), 0 to 1: after modality LUT, VOI LUT or window, presentation
    shape; MONOCHROME1 inverted, so air is dark; padding 0."""

    sop_uid: str
    frame: int = 0
    """From 1; 0 for an instance of one frame."""

    modality: str = ""
    """ "CR", "DX", "RG", "XA"; of an X-ray stored as secondary capture, as stated."""

    pixel_mm: tuple[float, float] | None = None
    """Distance between rows, between columns at the patient, mm; None: not known."""

    pixel_mm_from: str = ""
    """ "calibrated", "patient" (Pixel Spacing), "detector" (Imager Pixel Spacing divided by the
    magnification that the header states), "detector-unmagnified" (too large by an unknown
    factor, 1.05 to 1.2 at the table), or ""."""

    body_part: str = ""
    """Upper case, "HAND", "CHEST"; "" when not stated."""

    view: str = ""
    """Upper case: "PA", "AP", "LL", "LAT", …"""

    laterality: str = ""
    """ "L", "R", "B" or ""."""

    image_type: tuple[str, ...] = ()
    burned_in_text: bool | None = None
    """What the header says; None: it does not say."""

    bits_stored: int = 0
    stored_min: int = 0
    stored_max: int = 0
    """Range of the stored values, padding left out."""

    window_from: str = ""
    """What set the grey scale: "voi-lut", "window", "sigmoid" or "percentiles" (nothing stated:
    from the 1st to the 99th)."""

    lossy: bool | None = None
    for_processing: bool = False
    """True: values of the detector, before the maker's processing (PS3.3 C.8.11.1.1.1)."""

    clipped_share: float = 0.0
    """Share of pixels at the darkest or brightest grey, padding left out: exposure, cut-off."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.grey.shape[0], self.grey.shape[1]
