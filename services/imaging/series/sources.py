"""What an archive can turn out to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.imaging.series.radiograph import Radiograph
from services.imaging.series.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFiles:
    """A whole slide, not opened yet: `pathology.slides` opens it from these files.

    Only an archive on disk gives one.
    """

    paths: tuple[Path, ...]
    """Instances of one VL Whole Slide Microscopy series."""

    sop_uids: tuple[str, ...] = ()
    """SOP instance UID of each file, where it has one."""


Source = Volume | Radiograph | SlideFiles
