"""Whole slides in TIFF and SVS become DICOM at the door, tile by tile and without re-encoding.

Only the tiled levels go on: label, macro and thumbnail pictures, descriptions and private tags
of the file, where scanners write names and numbers, are never copied. From here on a slide is a
DICOM series like any other: de-identified, read, shown and referred to in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from pydicom.uid import UID

from services.ingest.elements import UnusableInstance
from services.ingest.slides import tiff, wsi

__all__ = ["instances"]


def instances(source: BinaryIO, sha256: str, study: str) -> list[Iterator[bytes]]:
    """Return the levels of a TIFF or SVS file, each as the pieces of a DICOM file.

    The same file in the same study has the same UIDs, so sending it twice changes nothing.

    Parameters
    ----------
    source : seekable; read while the pieces are taken
    sha256 : of the file
    study : UID of the study it belongs to

    Raises
    ------
    UnusableInstance
        STUDY_NOT_NAMED, NOT_A_SLIDE, FOCAL_PLANES, SLIDE_COMPRESSION, SLIDE_PIXELS,
        SLIDE_WITHOUT_SCALE, SLIDE_TOO_LARGE or MALFORMED; taking the pieces may raise it too.
    """
    if not UID(study).is_valid:
        raise UnusableInstance(
            "a TIFF file names no study: send it to /dicom-web/studies/{study}",
            reason="STUDY_NOT_NAMED",
        )
    if source.read(4) not in tiff.MAGIC:
        raise UnusableInstance("the file is not TIFF", reason="NOT_TIFF")
    source.seek(0)
    levels = tiff.levels(source)
    made = []
    for number, level in enumerate(levels, 1):
        named = wsi.Named(
            study,
            _uid(study, sha256, "series"),
            _uid(study, sha256, f"level {number}"),
            _uid(study, sha256, "frame of reference"),
            number,
        )
        made.append(wsi.pieces(level, named, levels[0]))
    return made


def _uid(*parts: str) -> str:
    """Return a UID made of its parts (PS3.5 B.2)."""
    return f"2.25.{int(hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32], 16)}"
