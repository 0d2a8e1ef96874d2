"""A stack's files to one volume: one frame decoded at a time into memory made once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from services.imaging.series import extract, pixels, plain_file, plausible
from services.imaging.series.archive import File
from services.imaging.series.decoding import Decode
from services.imaging.series.geometry import Stack
from services.imaging.series.headers import Header
from services.imaging.series.volume import Volume

TILT_DEGREES_MIN = 0.05
"""Less is rounding."""


def volume(
    files: Sequence[File], headers: Sequence[Header], stack: Stack, decode: Decode
) -> Volume:
    """Return the volume of a stack.

    Raises
    ------
    DamagedSeries, LyingTransferSyntax, ImplausibleCt
    """
    ordered = [headers[number] for number in stack.order]
    first = ordered[0]
    hu = np.empty((len(ordered), first.rows, first.columns), np.int16)
    by_file: dict[int, dict[int, int]] = {}
    for place, header in enumerate(ordered):
        by_file.setdefault(header.file, {})[max(header.frame - 1, 0)] = place
    for file, places in by_file.items():
        one = ordered[next(iter(places.values()))]
        wanted = frozenset(places)
        for frame, stored in pixels.values(files[file], one.stored, one.frames, wanted, decode):
            place = places[frame]
            hu[place] = pixels.to_hounsfield(stored, ordered[place])
    plausible.check(hu)
    thicknesses = [header.thickness_mm for header in ordered if header.thickness_mm]
    kernels = Counter(header.kernel for header in ordered)
    tilted = abs(stack.tilt_degrees) >= TILT_DEGREES_MIN
    return Volume(
        hu=hu,
        affine=stack.affine,
        sop_uids=tuple(header.sop_uid for header in ordered),
        frames=tuple(header.frame for header in ordered),
        positions_mm=stack.positions,
        thickness_mm=float(np.median(thicknesses)) if thicknesses else None,
        tilt_degrees=stack.tilt_degrees if tilted else 0.0,
        lean_degrees=stack.lean_degrees,
        even=stack.even,
        gaps_mm=stack.gaps_mm,
        kernel=kernels.most_common(1)[0][0],
        contrast=first.contrast,
        image_type=first.image_type,
    )


def digest(files: Sequence[File], header: Header) -> bytes:
    """Return the SHA-256 of an image's pixels as stored, with what they mean."""
    made = hashlib.sha256(repr((header.rescale, header.stored.padding)).encode())
    with plain_file.opened(files[header.file]) as stream:
        number = max(header.frame - 1, 0)
        for at, content in enumerate(extract.frames_of(stream, header.stored, header.frames)):
            if at == number:
                made.update(content)
                break
    return made.digest()
