"""Reads a head CT for intracranial haemorrhage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.haemorrhage import midline, prepare, score, segment, slabs, urgency
from services.imaging.haemorrhage.characterise import EXTRA_AXIAL, Measures, measure
from services.imaging.haemorrhage.midline import Shift
from services.imaging.haemorrhage.names import FRACTURE, MODEL, TYPES
from services.imaging.haemorrhage.score import Scores
from services.imaging.haemorrhage.segment import Region
from services.imaging.haemorrhage.urgency import STAT, Urgency
from services.imaging.reading import Ask, Context, Lesion, Reading, quality, statement
from services.imaging.reading import measure as measured
from services.imaging.series.volume import Volume

LOOKED_FOR = ("1386000",)
"""SNOMED CT: intracranial haemorrhage."""

SIDES = {-1: pb.LATERALITY_RIGHT, 0: pb.LATERALITY_UNSPECIFIED, 1: pb.LATERALITY_LEFT}


class HaemorrhageReader:
    """Probability per slice and study, types, places, extent, volume, midline, urgency."""

    function = pb.FUNCTION_HAEMORRHAGE
    name = "haemorrhage"
    models: tuple[str, ...] = (MODEL,)

    def read(self, source: Volume, context: Context, ask: Ask) -> Reading:
        """Read one head CT.

        Raises
        ------
        NotAHeadCt
        """
        card = context.card(MODEL)
        point = float(
            context.options.get("operating_point", card["operating_point"]["probability"])
        )
        volume, bounds = slabs.thicken(source)
        head = prepare.head(volume)
        context.progress(0.2)
        scores = score.score(head, ask, card)
        context.progress(0.8)
        present = scores.study >= point
        regions: list[Region] = []
        if present:
            seed = float(card["aggregation"]["map_seed"])
            regions = segment.regions(volume, head, scores.maps, seed)
        found = [measure(volume, head, scores, region) for region in regions]
        dense = [one for one, region in zip(found, regions, strict=True) if not region.by_map]
        shift = midline.measure(head)
        urgent = urgency.judge(present, dense, shift, context.prior, context.prior_days)
        lesions = [
            _lesion(source, volume, bounds, region, one)
            for region, one in zip(regions, found, strict=True)
        ]
        evident = _shown(bounds, int(np.argmax(scores.slices[:, 0])))
        answer = _answer(scores, dense, shift, urgent, point, card)
        answer.statements.extend(_statements(scores, shift, urgent, present, evident))
        context.progress(1.0)
        return Reading(answer, lesions)


def _shown(bounds: np.ndarray[Any, np.dtype[np.int64]], number: int) -> int:
    """Return the series' slice in the middle of a slab."""
    return int((bounds[number] + bounds[number + 1] - 1) // 2)


def _lesion(
    source: Volume,
    volume: Volume,
    bounds: np.ndarray[Any, np.dtype[np.int64]],
    region: Region,
    one: Measures,
) -> Lesion:
    mask, first = slabs.thin(region.mask, region.start[0], bounds)
    shown = _shown(bounds, one.slice_index)
    center = volume.to_patient(np.array(one.center))
    left, top, right, bottom = one.box
    finding = pb.Finding(
        function=pb.FUNCTION_HAEMORRHAGE,
        kind="haemorrhage",
        place=pb.Place(
            sop_instance_uid=source.sop_uids[shown],
            frame=source.frame(shown),
            box=pb.PixelBox(left=left, top=top, right=right, bottom=bottom),
            center=pb.PointMm(x=center[0], y=center[1], z=center[2]),
            slice_index=shown,
            first_slice_index=int(bounds[one.first_slice]),
            last_slice_index=int(bounds[one.last_slice + 1]) - 1,
        ),
        laterality=SIDES[one.side],
        site=one.third,
        probability=one.probability,
        qualities=[
            quality("type", one.type_name, one.type_probability),
            quality("extent", "map" if region.by_map else "density"),
        ],
        urgent=True,
    )
    if not region.by_map:
        finding.measures.extend(_measures(one))
    return Lesion(finding, mask, (first, region.start[1], region.start[2]))


def _measures(one: Measures) -> list[pb.Measure]:
    made = [
        measured("volume", one.volume_ml, "mL"),
        measured(f"abc{one.abc_divisor}-volume", one.abc_ml, "mL"),
        measured("long-axis", one.long_axis_mm, "mm"),
        measured("short-axis", one.short_axis_mm, "mm"),
        measured("attenuation", one.mean_hu, "[hnsf'U]"),
    ]
    if one.type_name in EXTRA_AXIAL:
        made.append(measured("thickness", one.thickness_mm, "mm"))
    return made


def _answer(
    scores: Scores,
    found: list[Measures],
    shift: Shift | None,
    urgent: Urgency,
    point: float,
    card: Mapping[str, Any],
) -> pb.Answer:
    present = scores.study >= point
    answer = pb.Answer(
        function=pb.FUNCTION_HAEMORRHAGE,
        probability=scores.study,
        operating_point=point,
        urgent=urgent.code == STAT,
        looked_for=LOOKED_FOR,
    )
    if found:
        answer.measures.append(measured("volume", sum(one.volume_ml for one in found), "mL"))
    if shift is not None:
        low, high = sorted((abs(shift.low_mm), abs(shift.high_mm)))
        answer.measures.append(measured("midline-shift", abs(shift.mm), "mm", low=low, high=high))
    if present:
        # A chance of each type, not a type: one with 2% is not what the CT shows.
        answer.qualities.extend(
            quality(f"type-{name}", "", float(value))
            for name, value in zip(TYPES, scores.types, strict=True)
        )
    answer.qualities.append(quality("urgency", urgent.code))
    fracture = card.get("fracture_point")
    if fracture is not None and scores.slices[:, FRACTURE].size and scores.fracture >= fracture:
        answer.qualities.append(quality("skull-fracture", "suspected", scores.fracture))
    return answer


def _statements(
    scores: Scores, shift: Shift | None, urgent: Urgency, present: bool, evident: int
) -> list[pb.Statement]:
    """Return the sentences; `evident` is the slice of the series, from 0, that shows most."""
    # Never none and never all: 72 patients cannot show that.
    share = f"{min(max(round(100 * scores.study), 1), 99)}"
    if not present:
        none = statement("haemorrhage-none", share=share)
        return [none, *urgent.statements, statement("haemorrhage-limits")]
    said = [statement("haemorrhage-present", share=share, slice=str(evident + 1))]
    said.extend(urgent.statements)
    if shift is None:
        said.append(statement("haemorrhage-shift-unknown"))
    said.append(statement("haemorrhage-stat"))
    return said
