"""What was found as a Comprehensive 3D SR after TID 1500, one per series.

A group for every lesion (tracking identifiers, finding, site, measurements, qualitative
evaluations, its segment or its box) and one for what each reading says of the series as a
whole, so that "nothing found" is said too. Axes say on which line they were measured, and the
number of findings points to the surest: viewers draw graphics, and OHIF gives a report up at a
group without any. Pure.

Source: PS3.16 TID 1500, 1501, 1410, 1411; IHE AI Results.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from highdicom import sr
from pydicom.dataset import Dataset

from services.imaging.dicom_out import axes, codes, stamp, uids
from services.imaging.dicom_out.material import Series
from services.imaging.dicom_out.segmentation import Segmented
from services.imaging.reading import Lesion, ReadSource

MEAN = sr.CodedConcept("373098007", "SCT", "Mean")
PERCENT = "%"
EVIDENCE_MAX, LIBRARY_MAX = 2_000, 100
"""Images named as evidence, and described one by one in the image library."""

_PROJECTION = ("PatientOrientation", "ImagerPixelSpacing")
_SLICE = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SliceThickness")
_NEEDED = {"CT": _SLICE, "MR": _SLICE, "PT": _SLICE, "CR": _PROJECTION, "DX": _PROJECTION}

Group = (
    sr.VolumetricROIMeasurementsAndQualitativeEvaluations
    | sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | sr.MeasurementsAndQualitativeEvaluations
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Where a lesion is drawn: its segmentation, and the images that show it."""

    segmentation: Dataset
    images: Sequence[Dataset]


def report(series: Series, segmented: Sequence[Segmented]) -> sr.Comprehensive3DSR:
    """Return the measurement report of a series."""
    drawn = {
        lesion.finding.finding_id: Drawn(one.dataset, one.images[lesion.finding.segment_number])
        for one in segmented
        for lesion in one.lesions
    }
    groups: list[Group] = []
    for one in series.read:
        for lesion in one.reading.lesions:
            groups += _lesion(series, one, lesion, drawn)
        groups.append(_answer(series, one))
    images = _shown(series, drawn)
    content = sr.MeasurementReport(
        observation_context=_context(series),
        procedure_reported=codes.procedure(series.read[0].reading.answer.function),
        imaging_measurements=groups,
        title=sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        referenced_images=[_describable(image) for image in _described(images)],
    )
    return sr.Comprehensive3DSR(
        evidence=[*images, *(one.dataset for one in segmented)],
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="AI findings: measurements",
        **stamp.maker(),
        **stamp.identity(series, "SR"),
    )


def _context(series: Series) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=str(uids.of("observer", *(uids.device(m) for m in series.models))),
        name=stamp.MODEL,
        manufacturer_name=stamp.MANUFACTURER,
        model_name=stamp.MODEL,
    )
    observer = sr.ObserverContext(sr.CodedConcept("121007", "DCM", "Device"), device)
    return sr.ObservationContext(observer_device_context=observer)


def _shown(series: Series, drawn: Mapping[str, Drawn]) -> list[Dataset]:
    """Return the images that the report speaks of, for the image library and the evidence."""
    named = [f.place.sop_instance_uid for f in series.findings]
    named += [str(image.SOPInstanceUID) for each in drawn.values() for image in each.images]
    found = [uid for uid in dict.fromkeys(named) if uid in series.headers]
    # Nothing found: the report still says what was looked at.
    chosen = sorted(found or series.headers)[:EVIDENCE_MAX]
    return [series.headers[uid] for uid in chosen]


def _described(images: Sequence[Dataset]) -> list[Dataset]:
    """Return the images that the library describes: all, or every so many of a large stack."""
    step = -(-len(images) // LIBRARY_MAX)
    return list(images[::step])


def _describable(image: Dataset) -> Dataset:
    """Return an image that the image library can describe.

    highdicom describes a slice by its geometry and a radiograph by its orientation and
    spacing, and gives up where one is not stated; such an image is listed without them.
    """
    needed = _NEEDED.get(image.Modality, ())
    if all(image.get(keyword) not in (None, "") for keyword in needed):
        return image
    bare = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns"):
        setattr(bare, keyword, image[keyword].value)
    bare.Modality = "OT"
    return bare


def _lesion(
    series: Series, one: ReadSource, lesion: Lesion, drawn: Mapping[str, Drawn]
) -> list[Group]:
    """Return a lesion's group, and one of the same tracking UID for axes that are drawn.

    A group with a segment or a region defines them all by that; lines need a group without
    (TID 1501).
    """
    finding = lesion.finding
    lines = axes.of_lesion(series, one.source, lesion)
    named: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(finding.tracking_uid, finding.finding_id),
        "finding_category": codes.category(finding),
        "finding_type": codes.kind(finding),
        "algorithm_id": _algorithm(one),
    }
    place = codes.place(finding)
    if place is not None:
        named["finding_sites"] = [sr.FindingSite(place, laterality=codes.side(finding))]
    shared = named | {
        "measurements": _measurements(finding, without=lines),
        "qualitative_evaluations": _evaluations(finding.qualities),
    }
    groups: list[Group] = [_grouped(series, finding, shared, drawn)]
    if lines:
        measured = [
            _measurement(m.name, m.value, m.unit, lines[m.name])
            for m in finding.measures
            if m.name in lines
        ]
        groups.append(sr.MeasurementsAndQualitativeEvaluations(measurements=measured, **named))
    return groups


def _grouped(
    series: Series, finding: pb.Finding, shared: Mapping[str, Any], drawn: Mapping[str, Drawn]
) -> Group:
    """Return a lesion's group, by its segment or its box where it has one."""
    if where := drawn.get(finding.finding_id):
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=sr.ReferencedSegment(
                sop_class_uid=str(where.segmentation.SOPClassUID),
                sop_instance_uid=str(where.segmentation.SOPInstanceUID),
                segment_number=finding.segment_number,
                source_images=[
                    sr.SourceImageForSegmentation(str(image.SOPClassUID), str(image.SOPInstanceUID))
                    for image in where.images
                ],
            ),
            **shared,
        )
    image = series.headers.get(finding.place.sop_instance_uid)
    if image is None:
        return sr.MeasurementsAndQualitativeEvaluations(**shared)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=_region(finding, image, tiled=series.is_slide), **shared
    )


def _region(finding: pb.Finding, image: Dataset, *, tiled: bool) -> sr.ImageRegion:
    """Return a box as a closed polyline; SCOORD counts from the corner of the first pixel."""
    frame = [finding.place.frame] if finding.place.frame and not tiled else None
    return sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=outline(finding.place.box),
        source_image=sr.SourceImageForRegion(
            str(image.SOPClassUID), str(image.SOPInstanceUID), referenced_frame_numbers=frame
        ),
        pixel_origin_interpretation="VOLUME" if tiled else None,
    )


def outline(box: pb.PixelBox) -> np.ndarray:
    """Return a box's corners, (5, 2) column and row, the first one again at the end."""
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return np.array(corners, float)


def _answer(series: Series, one: ReadSource) -> Group:
    """Return what a reading says of the series: found or not, how probable, what was measured."""
    answer = one.reading.answer
    name = f"{pb.Function.Name(answer.function).removeprefix('FUNCTION_').lower()}-answer"
    measured = [_measurement(m.name, m.value, m.unit) for m in answer.measures]
    if answer.HasField("probability"):
        measured.insert(0, _measurement("probability", answer.probability * 100, PERCENT))
    if one.reading.lesions:
        findings = [lesion.finding for lesion in one.reading.lesions]
        surest = max(findings, key=lambda finding: finding.probability)
        where = axes.middle(series, surest)
        measured.append(_measurement("count", len(findings), "1", where))
    presence = []
    positive = bool(one.reading.lesions) or _suspected(answer)
    if positive or answer.looked_for:  # figures alone say nothing of it
        said = codes.value("presence", "present" if positive else "absent")
        presence = [sr.QualitativeEvaluation(codes.concept("quality-presence"), said)]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(series.uid_of("tracking", name), name),
        finding_type=codes.looked_for(answer.function),
        algorithm_id=_algorithm(one),
        measurements=measured or None,
        qualitative_evaluations=[*presence, *(_evaluations(answer.qualities) or [])] or None,
    )


def _suspected(answer: pb.Answer) -> bool:
    """Tell whether a series shows what was looked for although no finding lies in it here."""
    if answer.reported_elsewhere:
        return True
    if not answer.HasField("probability"):
        return answer.urgent
    return 0 < answer.operating_point <= answer.probability


def _algorithm(one: ReadSource) -> sr.AlgorithmIdentification | None:
    """Return the reading's models as one algorithm: a group may name one alone."""
    if not one.models:
        return None
    return sr.AlgorithmIdentification(
        name=" + ".join(dict.fromkeys(model.name for model in one.models))[:1024],
        version=" + ".join(f"{model.name} {model.version}" for model in one.models)[:1024],
        family=codes.concept("family-ai"),
        manufacturer=stamp.MANUFACTURER,
    )


def _measurements(finding: pb.Finding, without: Collection[str]) -> list[sr.Measurement]:
    made = [_measurement("probability", finding.probability * 100, PERCENT)]
    made += [
        _measurement(m.name, m.value, m.unit) for m in finding.measures if m.name not in without
    ]
    for quality in finding.qualities:
        if quality.HasField("probability"):
            name = "malignancy" if quality.name == "malignancy" else f"{quality.name}-probability"
            made.append(_measurement(name, quality.probability * 100, PERCENT))
    return made


def _measurement(
    name: str, value: float, ucum: str, where: sr.CoordinatesForMeasurement | None = None
) -> sr.Measurement:
    return sr.Measurement(
        name=codes.concept(f"measure-{name}"),
        value=float(f"{value:.6g}"),
        unit=codes.unit(ucum),
        derivation=MEAN if name in ("attenuation", "mean-diameter") else None,
        referenced_coordinates=[where] if where else None,
    )


def _evaluations(qualities: Sequence[pb.Quality]) -> list[sr.QualitativeEvaluation] | None:
    made = [
        sr.QualitativeEvaluation(
            codes.concept(f"quality-{quality.name}"), codes.value(quality.name, quality.value)
        )
        for quality in qualities
        if quality.value
    ]
    return made or None
