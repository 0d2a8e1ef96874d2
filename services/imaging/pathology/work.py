"""Works through the fields of a slide, batch by batch, and goes on after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.imaging.pathology import fields, lung, results
from services.imaging.pathology.fields import CELLS, TISSUE_SHARE_MIN, Field, Grid
from services.imaging.pathology.results import Batch, Found
from services.imaging.pathology.slides.slide import Slide
from services.imaging.pathology.stain import Stains
from services.imaging.reading import Ask, Context

FIELDS_AT_ONCE = 8
"""Fields of one checkpoint: about half a minute of one core."""


def through(
    slide: Slide,
    grid: Grid,
    context: Context,
    ask: Ask,
    *,
    judge: bool,
    own: Stains | None = None,
) -> Found:
    """Return what all fields hold.

    Memory: one field, the slide's kept tiles, and what was found.

    Parameters
    ----------
    judge : ask the lung network too; without it every kind is NaN
    own : the slide's stains, where its fields are to be brought to the reference's
    """
    card = context.card(fields.NUCLEI)
    found = Found(grid)
    for number, at in enumerate(range(0, len(grid.fields), FIELDS_AT_ONCE)):
        some = grid.fields[at : at + FIELDS_AT_ONCE]
        name = f"fields-{number}"
        kept = context.checkpoint.load(name) if context.checkpoint else None
        known = results.unpacked(kept, len(some))
        if known is None:
            known = _batch(slide, grid, some, ask, card, judge=judge, own=own)
            if context.checkpoint:
                context.checkpoint.save(name, results.packed(known))
        found.add(some, known)
        context.progress(min(1.0, (at + len(some)) / len(grid.fields)))
    return found


def _batch(
    slide: Slide,
    grid: Grid,
    some: tuple[Field, ...],
    ask: Ask,
    card: Mapping[str, Any],
    *,
    judge: bool,
    own: Stains | None,
) -> Batch:
    done = []
    for field in some:
        pixels = fields.read(slide, grid.scale, field, own)
        cells = fields.nuclei(pixels, ask, card)
        judged = field.tissue >= TISSUE_SHARE_MIN
        if judge:
            kinds = lung.kinds(pixels, judged, ask)
        else:
            kinds = np.full((CELLS, CELLS, len(lung.KINDS)), np.nan, np.float32)
        done.append((field, cells, kinds))
    return results.batch(done, grid.scale)
