"""One archive in memory to one volume that can be measured in three dimensions."""

from __future__ import annotations

from services.imaging.series import archive, measurable, refusals
from services.imaging.series.decoding import Decode, decode_here
from services.imaging.series.facts import Facts
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume

__all__ = ["Facts", "assemble"]


def assemble(content: bytes, facts: Facts, decode: Decode = decode_here) -> Volume:
    """Return the largest volume of an archive; fill `facts` as they become known.

    Raises
    ------
    SeriesRefused
        One of its types, with the numbers that show it.
    """
    sources = understand(archive.held(content), facts, decode)
    volumes = [source for source in sources if isinstance(source, Volume)]
    if not volumes:
        raise refusals.NotAChestCt("the series is not CT", modality=facts.modality or "not stated")
    measurable.check(volumes[0])
    return volumes[0]
