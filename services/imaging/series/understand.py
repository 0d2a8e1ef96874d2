"""One archive to what it shows: volumes, radiographs, a slide; or a refusal with its numbers.

    files = archive.spooled(content, folder)   # or archive.held(content): all in memory
    facts = Facts()
    sources = understand(files, facts)         # raises SeriesRefused; facts say how far it got

Refused is what cannot be understood at all. What a reading needs beyond (enough slices, even
distances, an upright stack, two lungs) is for routing and for the reading to ask:
`volume.even`, `volume.tilt_degrees`, `upright.upright(volume)`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.imaging.series.archive import File
from services.imaging.series.facts import Facts
from services.imaging.series.pixels import Decode, decode_here
from services.imaging.series.sources import Source


def understand(files: Sequence[File], facts: Facts, decode: Decode = decode_here) -> list[Source]:
    """Return the sources of an archive, largest volume first; fill `facts` as they become known.

    Parameters
    ----------
    files : the archive's entries; read one at a time, never all at once
    facts : filled in place
    decode : turns one file's compressed pixels into stored values; the worker passes one that
        runs in a process of its own, since a native decoder can crash (docs/adr/0024)

    Raises
    ------
    SeriesRefused
        Nothing in the archive can be read: one of its types, with the numbers that show it.
    """
    raise NotImplementedError
