"""Reads a whole slide for tumour cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from scipy import ndimage

from services.imaging.pathology import (
    answer,
    cellularity,
    fields,
    lung,
    pictures,
    stain,
    tissue,
    work,
)
from services.imaging.pathology.cellularity import Share
from services.imaging.pathology.fields import CELL
from services.imaging.pathology.results import Batch, Found
from services.imaging.pathology.slides import Slide, open_dicom
from services.imaging.pathology.stain import Stains
from services.imaging.pathology.tissue import Overview
from services.imaging.reading import (
    Annotations,
    Ask,
    Context,
    HeatMap,
    Lesion,
    ModelMissing,
    Nuclei,
    Reading,
)
from services.imaging.series.sources import SlideFiles

REGIONS_MAX = 20
"""Most regions that are reported, the largest first."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was found out about a slide."""

    slide: Slide
    overview: Overview
    found: Found
    nuclei: Batch
    operating_point: float
    region: Mask
    """Cells of the heat map that cellularity was measured in."""

    marked: bool
    """True when a person marked that region."""

    share: Share | None


class PathologyReader:
    """Tissue, nuclei, tumour by cell of a heat map, cellularity; lung's two common carcinomas."""

    function = pb.FUNCTION_PATHOLOGY
    name = "pathology"
    models: tuple[str, ...] = (fields.NUCLEI, lung.MODEL)

    def read(self, source: SlideFiles, context: Context, ask: Ask) -> Reading:
        """Read one slide.

        Options: `organ` (SNOMED CT code, where the slide states none), `region` (left, top,
        right, bottom in pixels of level 0), `operating_point`, `normalise_stain` (bring the
        slide's colours to the reference's first; else as the nuclei model's card says).

        Raises
        ------
        SeriesRefused
            One of `slides.refusals`.
        """
        slide = open_dicom(source.paths)
        try:
            overview = tissue.overview(slide)
            grid = fields.grid(slide, overview)
            why_not = _why_not_judged(slide, context)
            own = _stains(overview, context)
            found = work.through(slide, grid, context, ask, judge=not why_not, own=own)
            seen = _seen(slide, overview, found, context, judged=not why_not)
            return _reading(seen, why_not)
        finally:
            slide.close()


def _stains(overview: Overview, context: Context) -> Stains | None:
    """Return the slide's own stains where colours are to be brought to the reference's."""
    stated = context.card(fields.NUCLEI).get("normalise_stain", False)
    if not context.options.get("normalise_stain", stated):
        return None
    return stain.stains_of(overview.pixels[overview.tissue])


def _why_not_judged(slide: Slide, context: Context) -> str:
    """Return why tumour is not looked for, as the key of a sentence; "" when it is."""
    organ = slide.organ or str(context.options.get("organ", ""))
    if not organ:
        return "pathology-organ-unknown"
    if organ != lung.LUNG:
        return "pathology-organ-other"
    try:
        context.card(lung.MODEL)
    except ModelMissing:
        return "pathology-model-missing"
    return ""


def _seen(
    slide: Slide, overview: Overview, found: Found, context: Context, *, judged: bool
) -> Seen:
    nuclei = found.all()
    point, region, marked, share = 0.0, np.zeros(found.counts.shape, bool), False, None
    box = context.options.get("region")
    if box:
        left, top, right, bottom = (float(edge) for edge in box)
        region, marked = cellularity.marked_region(found, (left, top, right, bottom)), True
    if judged:
        card: dict[str, Any] = dict(context.card(lung.MODEL))
        point = float(
            context.options.get("operating_point", card["operating_point"]["probability"])
        )
        if not marked:
            tumour = cellularity.tumour_of(found)
            region = cellularity.suspect_region(tumour, found.counts, point)
        share = cellularity.share_in(found, nuclei, region)
    return Seen(slide, overview, found, nuclei, point, region, marked, share)


def _reading(seen: Seen, why_not: str) -> Reading:
    base = seen.slide.levels[0]
    shown = [pictures.overview(seen.overview, base.sop_uid)]
    annotations = Annotations(nuclei=_annotated(seen.nuclei))
    lesions: list[Lesion] = []
    if not why_not:
        tumour = cellularity.tumour_of(seen.found)
        heat_map = HeatMap(tumour, CELL * seen.found.grid.scale, "tumour")
        annotations.heat_map = heat_map
        shown.append(pictures.heat(seen.overview, heat_map, seen.slide.mpp, base.sop_uid))
        lesions = _lesions(seen, tumour)
    made = answer.answer(
        seen.found,
        seen.nuclei,
        seen.overview.area_mm2,
        seen.share,
        operating_point=seen.operating_point,
        marked=seen.marked,
        why_not=why_not,
    )
    return Reading(made, lesions, shown, annotations)


def _annotated(nuclei: Batch) -> Nuclei:
    outlines = nuclei.outlines.astype(np.float32)
    polygons: list[npt.NDArray[np.float32]] = []
    if len(outlines) == len(nuclei.places):
        polygons = list(outlines + nuclei.places[:, None])
    return Nuclei(nuclei.places, polygons, nuclei.areas)


def _lesions(seen: Seen, tumour: npt.NDArray[np.float32]) -> list[Lesion]:
    """Return the suspect regions, largest first."""
    high = cellularity.regions(np.nan_to_num(tumour, nan=0.0) >= seen.operating_point)
    labels, count = ndimage.label(high, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = [int(at) + 1 for at in np.argsort(-sizes, kind="stable")[:REGIONS_MAX]]
    return [_lesion(seen, tumour, labels == name) for name in order]


def _lesion(seen: Seen, tumour: npt.NDArray[np.float32], region: Mask) -> Lesion:
    rows, columns = np.nonzero(region)
    side = CELL * seen.found.grid.scale
    base = seen.slide.levels[0]
    share = cellularity.share_in(seen.found, seen.nuclei, region)
    finding = pb.Finding(
        function=pb.FUNCTION_PATHOLOGY,
        kind="tumour",
        place=pb.Place(
            sop_instance_uid=base.sop_uid,
            box=pb.PixelBox(
                left=round(columns.min() * side),
                top=round(rows.min() * side),
                right=min(base.width_px, round((columns.max() + 1) * side)),
                bottom=min(base.height_px, round((rows.max() + 1) * side)),
            ),
        ),
        site="lung",
        probability=float(tumour[region].mean()),
        measures=answer.region_measures(seen.found, region, share),
        qualities=answer.kind_qualities(seen.found, region),
    )
    return Lesion(finding)
