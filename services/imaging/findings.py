"""What was found in a part's series, as the report takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging import key_image
from services.imaging.nodules.find import NODULES_MAX, SAME_MM, Nodule
from services.imaging.series.assemble import Facts
from services.kernel.errors import MeshError

LOOKED_FOR = ("427359005",)
"""SNOMED CT: solitary nodule of lung."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A nodule with what its series knows of it: UIDs and the picture of its slice."""

    nodule: Nodule
    series_uid: str
    sop_uid: str
    png: bytes
    width_px: int
    height_px: int


def merge(seen: Sequence[Seen]) -> list[Seen]:
    """Return nodules of all series, most probable first, each once.

    Reconstructions of one scan show the same nodule at the same place of the patient.
    """
    kept: list[Seen] = []
    for one in sorted(seen, key=lambda each: -each.nodule.probability):
        place = np.array(one.nodule.center_mm)
        known = any(
            other.series_uid != one.series_uid
            and float(np.linalg.norm(place - np.array(other.nodule.center_mm)))
            < max(SAME_MM, other.nodule.measures.long_axis_mm / 2)
            for other in kept
        )
        if not known:
            kept.append(one)
    return kept[:NODULES_MAX]


def compose(
    series: Sequence[Facts], seen: Sequence[Seen], operating_point: float
) -> pb.ImagingFindings:
    """Return the findings of a part; the key images have no blob yet."""
    found = pb.ImagingFindings(operating_point=operating_point, looked_for=LOOKED_FOR)
    found.series.extend(_series(facts) for facts in series)
    images: dict[str, pb.KeyImage] = {}
    for number, one in enumerate(seen, start=1):
        finding_id = f"nodule-{number}"
        found.nodules.append(_nodule(finding_id, one))
        image = images.setdefault(one.sop_uid, _key_image(f"key-{finding_id}", one))
        image.finding_ids.append(finding_id)
    found.key_images.extend(images.values())
    return found


def refusal(error: MeshError) -> Refusal:
    """Return why something was not read, as events carry it."""
    return Refusal(reason=error.reason, message=error.message, facts=error.facts)


def _series(facts: Facts) -> pb.SeriesUse:
    use = pb.SeriesUse(
        series_instance_uid=facts.series_uid,
        study_instance_uid=facts.study_uid,
        modality=facts.modality,
        slices=facts.slices,
        spacing_mm=facts.spacing_mm,
        pixel_mm=facts.pixel_mm,
        read=facts.refusal is None,
    )
    if facts.refusal:
        use.refusal.CopyFrom(refusal(facts.refusal))
    return use


def _nodule(finding_id: str, one: Seen) -> pb.Nodule:
    measures = one.nodule.measures
    x, y, z = one.nodule.center_mm
    left, top, right, bottom = measures.box
    return pb.Nodule(
        finding_id=finding_id,
        center=pb.PointMm(x=x, y=y, z=z),
        sop_instance_uid=one.sop_uid,
        series_instance_uid=one.series_uid,
        slice_index=measures.slice_index,
        box=pb.PixelBox(left=left, top=top, right=right, bottom=bottom),
        long_axis_mm=measures.long_axis_mm,
        short_axis_mm=measures.short_axis_mm,
        volume_mm3=measures.volume_mm3,
        mean_hu=measures.mean_hu,
        consistency=measures.consistency,
        laterality=measures.laterality,
        zone=measures.zone,
        probability=one.nodule.probability,
        first_slice_index=measures.first_slice,
        last_slice_index=measures.last_slice,
    )


def _key_image(image_id: str, one: Seen) -> pb.KeyImage:
    return pb.KeyImage(
        image_id=image_id,
        sop_instance_uid=one.sop_uid,
        width_px=one.width_px,
        height_px=one.height_px,
        window_center_hu=key_image.WINDOW_CENTER_HU,
        window_width_hu=key_image.WINDOW_WIDTH_HU,
    )
