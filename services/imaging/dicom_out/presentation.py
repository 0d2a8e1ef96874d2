"""Boxes on radiographs as a Grayscale Softcopy Presentation State, one per image. Pure.

Viewers that do not draw the SCOORD of an SR draw this. The grey scale stays the image's own.

Source: PS3.3 A.33.1, C.10.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom.dataset import Dataset

from services.imaging.dicom_out import stamp
from services.imaging.dicom_out.material import Series
from services.imaging.dicom_out.structured import outline

LAYER = "FINDINGS"


def states(series: Series) -> Iterator[GrayscaleSoftcopyPresentationState]:
    """Yield a presentation state for each radiograph with a box."""
    by_image: dict[str, list[pb.Finding]] = {}
    for finding in series.findings:
        if finding.place.HasField("box"):
            by_image.setdefault(finding.place.sop_instance_uid, []).append(finding)
    for number, (uid, findings) in enumerate(by_image.items(), start=1):
        if image := series.headers.get(uid):
            yield _state(series, image, findings, number)


def _state(
    series: Series, image: Dataset, findings: Sequence[pb.Finding], number: int
) -> GrayscaleSoftcopyPresentationState:
    layer = GraphicLayer(LAYER, order=1, description="Findings of dxmesh, not reviewed")
    identity = stamp.identity(series, "PR", str(image.SOPInstanceUID))
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        content_label="FINDINGS",
        content_description="Findings of dxmesh, not reviewed",
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[image],
                graphic_layer=layer,
                graphic_objects=[_box(finding) for finding in findings],
                text_objects=[_label(finding) for finding in findings],
            )
        ],
        series_description="AI findings: boxes",
        **stamp.maker(),
        **(identity | {"instance_number": number}),
    )
    # Type 2C where the body part is one of a pair (PS3.3 C.7.3.1): the image says which.
    state.Laterality = image.get("Laterality") or image.get("ImageLaterality") or ""
    return state


def _box(finding: pb.Finding) -> GraphicObject:
    # Graphic data count from 1\\1 at the upper left corner (PS3.3 C.10.5.1.2).
    return GraphicObject(
        graphic_type="POLYLINE",
        graphic_data=outline(finding.place.box) + 1,
        units="PIXEL",
        tracking_id=finding.finding_id,
        tracking_uid=finding.tracking_uid,
    )


def _label(finding: pb.Finding) -> TextObject:
    said = f"{finding.finding_id} {finding.probability * 100:.0f}%"
    box = finding.place.box
    return TextObject(
        text_value=said,
        units="PIXEL",
        anchor_point=(float(box.left + 1), float(box.top + 1)),
        anchor_point_visible=False,
    )
