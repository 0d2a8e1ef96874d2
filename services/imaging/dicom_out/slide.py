"""A slide's heat map as tiled segmentations, its nuclei as bulk annotations. Pure.

The heat map comes twice: FRACTIONAL, with its probabilities, and BINARY, where they reach the
operating point, since few viewers draw the first.

Source: PS3.3 A.51, A.87, C.37.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from highdicom import PixelMeasuresSequence, PlanePositionSequence
from highdicom.ann import AnnotationGroup, Measurements, MicroscopyBulkSimpleAnnotations
from highdicom.enum import CoordinateSystemNames
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset

from services.imaging.dicom_out import codes, stamp
from services.imaging.dicom_out.material import Series
from services.imaging.reading import HeatMap, Nuclei, ReadSource

TILE = 256
MIDDLE = 0.5
"""Where no operating point is stated."""


def maps(series: Series) -> Iterator[Segmentation]:
    """Yield the heat map of each reading, as probabilities and as a region."""
    for one in series.read:
        drawn = one.reading.annotations
        if drawn and drawn.heat_map:
            yield _map(series, one, drawn.heat_map, "FRACTIONAL")
            yield _map(series, one, drawn.heat_map, "BINARY")


def nuclei(series: Series) -> Iterator[MicroscopyBulkSimpleAnnotations]:
    """Yield the nuclei of each reading."""
    for one in series.read:
        drawn = one.reading.annotations
        if drawn and drawn.nuclei and len(drawn.nuclei.centroids):
            yield _annotations(series, one, drawn.nuclei)


def base(series: Series) -> Dataset:
    """Return the header of the slide's largest image: level 0."""
    volumes = [
        image
        for image in series.headers.values()
        if not {"LABEL", "OVERVIEW", "THUMBNAIL"} & set(image.get("ImageType", []))
    ]
    return max(
        volumes or series.headers.values(),
        key=lambda image: image.get("TotalPixelMatrixColumns", 0),
    )


def _map(series: Series, one: ReadSource, heat: HeatMap, kind: str) -> Segmentation:
    image = base(series)
    values = np.nan_to_num(heat.values, nan=0.0).clip(0.0, 1.0).astype(np.float32)
    point = one.reading.answer.operating_point or MIDDLE
    pixels = values if kind == "FRACTIONAL" else (values >= point).astype(np.uint8)
    pixel_mm = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    origin = image.TotalPixelMatrixOriginSequence[0]
    spacing = [float(each) * heat.cell_px for each in pixel_mm.PixelSpacing]
    position = PlanePositionSequence(
        CoordinateSystemNames.SLIDE,
        [
            float(origin.XOffsetInSlideCoordinateSystem),
            float(origin.YOffsetInSlideCoordinateSystem),
            float(origin.get("ZOffsetInSlideCoordinateSystem", 0.0)),
        ],
        pixel_matrix_position=(1, 1),
    )
    finding = pb.Finding(kind=heat.kind, function=one.reading.answer.function)
    made = Segmentation(
        source_images=[image],
        pixel_array=pixels[None],
        segmentation_type=kind,
        segment_descriptions=[
            SegmentDescription(
                segment_number=1,
                segment_label=f"{heat.kind.capitalize()} probability",
                segmented_property_category=codes.category(finding),
                segmented_property_type=codes.kind(finding),
                algorithm_type="AUTOMATIC",
                algorithm_identification=stamp.algorithms(one.models),
                tracking_uid=series.uid_of("tracking", "heat-map", heat.kind),
                tracking_id=f"{heat.kind}-map",
            )
        ],
        pixel_measures=PixelMeasuresSequence(
            spacing, slice_thickness=float(pixel_mm.get("SliceThickness", 0.001) or 0.001)
        ),
        plane_positions=[position],
        omit_empty_frames=True,
        tile_pixel_array=True,
        tile_size=(TILE, TILE),
        content_label="HEATMAP" if kind == "FRACTIONAL" else "REGION",
        content_description="Findings of dxmesh, not reviewed",
        series_description="AI findings: heat map",
        **stamp.maker(),
        **stamp.identity(series, "SEG", kind),
    )
    made.PatientOrientation = ""  # type 2C of General Image; a slide has none
    return made


def _annotations(series: Series, one: ReadSource, found: Nuclei) -> MicroscopyBulkSimpleAnnotations:
    polygons = [np.asarray(each, np.float32) for each in found.polygons]
    outlines = [each for each in polygons if len(each) >= 3]
    whole = len(outlines) == len(found.centroids)
    points = [np.asarray(each, np.float32).reshape(1, 2) for each in found.centroids]
    measured = []
    if found.areas_um2 is not None:
        areas = np.asarray(found.areas_um2, np.float32)
        measured = [Measurements(codes.concept("measure-area"), areas, codes.unit("um2"))]
    group = AnnotationGroup(
        number=1,
        uid=series.uid_of("annotation", "nuclei"),
        label="Nuclei",
        annotated_property_category=codes.concept("category-anatomy"),
        annotated_property_type=codes.concept("finding-nucleus"),
        graphic_type="POLYGON" if whole else "POINT",
        graphic_data=outlines if whole else points,
        algorithm_type="AUTOMATIC",
        algorithm_identification=stamp.algorithms(one.models),
        measurements=measured or None,
    )
    made = MicroscopyBulkSimpleAnnotations(
        source_images=[base(series)],
        annotation_coordinate_type="2D",
        annotation_groups=[group],
        content_label="NUCLEI",
        content_description="Nuclei found by dxmesh, not reviewed",
        series_description="AI findings: nuclei",
        **stamp.maker(),
        **stamp.identity(series, "ANN"),
    )
    for item in made.AnnotationGroupSequence:
        if "CommonZCoordinateValue" in item:  # of 3-D coordinates alone (PS3.3 C.37.1.2)
            del item.CommonZCoordinateValue
    return made
