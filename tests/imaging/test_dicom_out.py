"""Findings as DICOM: what the objects say, where segments lie, that a repeat makes the same."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from pydicom.sr import _concepts_dict

from services.imaging.dicom_out import axes, codes, write
from services.imaging.dicom_out.material import collect
from services.imaging.reading import DicomObject, Lesion, ReadSource, measure

REFERENCE = {"125605004", "82999001", "35486000", "21454007", "274100004", "24725-4", "11529-5"}
"""Codes that pydicom has no constant for; the project's FHIR reference confirms them."""


def made(*read: ReadSource) -> dict[str, list[DicomObject]]:
    found: dict[str, list[DicomObject]] = {}
    for each in write.objects(read):
        found.setdefault(each.modality, []).append(each)
    return found


def dataset(one: DicomObject) -> Any:
    return pydicom.dcmread(io.BytesIO(one.content))


def said(report: Any) -> str:
    """Return every name and value of a report, as text."""
    lines: list[str] = []

    def walk(items: Any) -> None:
        for item in items:
            name = item.get("ConceptNameCodeSequence", [None])[0]
            value = item.get("ConceptCodeSequence", [None])[0]
            number = item.get("MeasuredValueSequence", [None])[0]
            shown = value.CodeMeaning if value else item.get("TextValue") or item.get("UID") or ""
            if number:
                unit = number.MeasurementUnitsCodeSequence[0].CodeValue
                shown = f"{number.NumericValue} {unit}"
            lines.append(f"{name.CodeMeaning if name else ''}: {shown}")
            walk(item.get("ContentSequence", []))

    walk(report.ContentSequence)
    return "\n".join(lines)


@pytest.fixture
def stack(phantom: ModuleType, dicom_sources: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    def make(**changes: Any) -> Any:
        return dicom_sources.stack(phantom, tmp_path, **changes)

    return make


@pytest.mark.requirement("DX-OUT-01")
def test_a_segment_lies_where_its_lesion_lies(stack: Callable[..., Any]) -> None:
    source = stack()
    [one] = made(source)["SEG"]
    seg = hd.seg.Segmentation.from_dataset(dataset(one))
    assert (seg.SegmentationType, seg.NumberOfFrames) == ("BINARY", 8)
    pixels = seg.get_pixels_by_source_instance(
        list(source.source.sop_uids), assert_missing_frames_are_empty=True
    )
    for lesion in source.reading.lesions:
        z, y, x = lesion.start
        want = np.zeros(pixels.shape[:3], bool)
        want[z : z + 4, y : y + 6, x : x + 6] = True
        assert np.array_equal(pixels[..., lesion.finding.segment_number - 1] > 0, want)
    [first, second] = seg.SegmentSequence
    assert (first.TrackingID, first.TrackingUID) == ("nodule-1", "2.25.7001")
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "27925004"
    assert first.AnatomicRegionSequence[0].CodeValue == "45653009"
    [side] = first.AnatomicRegionSequence[0].AnatomicRegionModifierSequence
    assert side.CodeMeaning == "Left"
    [algorithm] = second.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung-nodule-scorer", "2.0.0")


@pytest.mark.requirement("DX-OUT-01")
def test_lesions_that_overlap_keep_their_voxels(stack: Callable[..., Any]) -> None:
    source = stack(starts=[(3, 10, 10), (4, 12, 12)])
    [one] = made(source)["SEG"]
    seg = hd.seg.Segmentation.from_dataset(dataset(one))
    pixels = seg.get_pixels_by_source_instance(
        list(source.source.sop_uids), assert_missing_frames_are_empty=True
    )
    assert pixels.sum(axis=(0, 1, 2)).tolist() == [144, 144] and seg.SegmentsOverlap == "YES"


@pytest.mark.requirement("DX-OUT-02")
def test_frames_of_a_straightened_stack_lie_where_its_slices_were_put(
    stack: Callable[..., Any], phantom: ModuleType
) -> None:
    plain = stack()
    moved = plain.source.positions_mm + np.array([0.0, 1.0, 0.0]) * np.arange(20)[:, None]
    [one] = made(stack(volume={"positions_mm": moved}))["SEG"]
    frames = dataset(one).PerFrameFunctionalGroupsSequence
    places = {tuple(f.PlanePositionSequence[0].ImagePositionPatient) for f in frames}
    wanted = {tuple(np.round(moved[z], 6).tolist()) for z in (3, 4, 5, 6, 9, 10, 11, 12)}
    assert places == wanted


@pytest.mark.requirement("DX-OUT-02")
def test_uneven_slices_keep_their_places(
    dicom_sources: ModuleType, phantom: ModuleType, tmp_path: Path
) -> None:
    datasets = phantom.datasets(phantom.Chest(slices=20, rows=64, columns=80))
    for index, one in enumerate(datasets):
        one.ImagePositionPatient[2] = 2.5 * index + (7.5 if index > 4 else 0.0)
    volume = dicom_sources.grid(datasets)
    files = dicom_sources.save(datasets, tmp_path, phantom)
    lesions = [dicom_sources.nodule(1, volume, (3, 10, 10))]
    answer = pb.Answer(function=pb.FUNCTION_HAEMORRHAGE)
    source = dicom_sources.read_source(volume, files, lesions, answer, series=phantom.SERIES)
    frames = dataset(made(source)["SEG"][0]).PerFrameFunctionalGroupsSequence
    heights = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in frames]
    assert sorted(heights) == [7.5, 10.0, 20.0, 22.5]


@pytest.mark.requirement("DX-OUT-02")
def test_segments_of_a_multi_frame_image(
    dicom_sources: ModuleType, phantom: ModuleType, tmp_path: Path
) -> None:
    datasets = phantom.datasets(phantom.Chest(slices=20, rows=64, columns=80))
    for one in datasets:
        one.PatientName = one.PatientBirthDate = one.StudyID = one.AccessionNumber = ""
        one.ReferringPhysicianName = one.Manufacturer = one.PositionReferenceIndicator = ""
        one.StudyDate, one.StudyTime, one.KVP, one.AcquisitionNumber = "20200102", "101112", 120, 1
    whole = hd.legacy.LegacyConvertedEnhancedCTImage(datasets, phantom.SERIES, 1, "2.25.8000", 1)
    path = tmp_path / "whole.dcm"
    whole.save_as(path)
    frames = [
        tuple(float(part) for part in f.PlanePositionSequence[0].ImagePositionPatient)
        for f in whole.PerFrameFunctionalGroupsSequence
    ]
    order = sorted(range(20), key=lambda number: frames[number][2])
    volume = dicom_sources.grid(
        datasets,
        sop_uids=("2.25.8000",) * 20,
        frames=tuple(number + 1 for number in order),
        positions_mm=np.array([frames[number] for number in order]),
    )
    lesions = [dicom_sources.nodule(1, volume, (3, 10, 10))]
    answer = pb.Answer(function=pb.FUNCTION_NODULES)
    source = dicom_sources.read_source(volume, [path], lesions, answer, series=phantom.SERIES)
    objects = made(source)
    found = dataset(objects["SEG"][0])
    places = {
        f.PlanePositionSequence[0].ImagePositionPatient[2]
        for f in found.PerFrameFunctionalGroupsSequence
    }
    assert places == {7.5, 10.0, 12.5, 15.0} and found.pixel_array.sum() == 144
    assert objects.keys() == {"SEG", "SR", "KO"}


@pytest.mark.requirement("DX-OUT-03")
def test_the_report_measures_each_lesion_and_points_to_its_segment(
    stack: Callable[..., Any],
) -> None:
    objects = made(stack())
    [seg], [report] = objects["SEG"], objects["SR"]
    text = said(dataset(report))
    for line in (
        "Tracking Identifier: nodule-1",
        "Tracking Unique Identifier: 2.25.7002",
        "Finding: Nodule",
        "Finding Site: Upper lobe of lung",
        "Laterality: Left",
        "Certainty of Finding: 93.0 %",
        "Long axis: 12.34 mm",
        "Volume: 812.2 mm3",
        "Attenuation Coefficient: 31.2 [hnsf'U]",
        "Doubling time: 120.0 d",
        "Probability of cancer: 40.0 %",
        "Margin: Spiculated",
        "Consistency: Part solid",
        "Presence: Present",
        "Algorithm Name: lung-nodule-scorer",
    ):
        assert line in text, line
    evidence = dataset(report).CurrentRequestedProcedureEvidenceSequence[0]
    named = {
        item.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert seg.sop_instance_uid in named and len(named) == 1 + 8


def numbers(report: Any, name: str) -> list[Any]:
    """Return every NUM of a concept that says from which coordinates it was inferred."""
    return [
        each
        for sequence in report.iterall()
        if sequence.keyword == "ContentSequence"
        for each in sequence.value
        if each.get("ValueType") == "NUM"
        and each.ConceptNameCodeSequence[0].CodeMeaning == name
        and any("GraphicType" in child for child in each.get("ContentSequence", []))
    ]


@pytest.mark.requirement("DX-OUT-03")
def test_axes_and_the_number_of_findings_say_where_they_were_measured(
    stack: Callable[..., Any],
) -> None:
    source = stack()
    report = dataset(made(source)["SR"][0])
    lengths = numbers(report, "Long axis") + numbers(report, "Short axis")
    assert len(lengths) == 4
    images = {lesion.finding.place.sop_instance_uid for lesion in source.reading.lesions}
    spacing = np.array(source.source.spacing_mm[:0:-1])
    for each in lengths:
        [line] = each.ContentSequence
        ends = np.array(line.GraphicData, float).reshape(-1, 2) * spacing
        value = float(each.MeasuredValueSequence[0].NumericValue)
        assert line.GraphicType == "POLYLINE" and line.RelationshipType == "INFERRED FROM"
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(value, abs=0.01)
        [image] = line.ContentSequence
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in images
    [count] = numbers(report, "Number of lesions (observable entity)")
    assert count.MeasuredValueSequence[0].NumericValue == 2
    assert count.ContentSequence[0].GraphicType == "POINT"


@pytest.mark.requirement("DX-OUT-03")
def test_axes_lie_along_and_across_a_lesion_and_in_space_where_slices_were_put(
    stack: Callable[..., Any],
) -> None:
    rows, columns = np.mgrid[0:40, 0:60]
    turn = np.deg2rad(30)
    along = (columns - 30) * np.cos(turn) + (rows - 20) * np.sin(turn)
    across = (rows - 20) * np.cos(turn) - (columns - 30) * np.sin(turn)
    finding = pb.Finding(measures=[measure("long-axis", 20, "mm"), measure("short-axis", 8, "mm")])
    finding.place.slice_index = 8
    oval = Lesion(finding, np.stack([(along / 20) ** 2 + (across / 8) ** 2 < 1]), (8, 100, 200))
    ends = axes.lines(oval, (0.5, 0.5))
    long, short = (np.diff(ends[name], axis=0)[0] for name in ("long-axis", "short-axis"))
    assert np.degrees(np.arctan2(long[0], long[1])) % 180 == pytest.approx(30, abs=2)
    assert float(long @ short) == pytest.approx(0, abs=1e-6)
    for line in ends.values():
        assert line.mean(axis=0) == pytest.approx([120, 230], abs=1)

    source = stack()
    offsets = np.full((len(source.source.hu), 2), [3.0, -2.0])
    straight = replace(source.source, offsets_px=offsets)
    lesion = source.reading.lesions[0]
    [series] = collect([source])
    drawn = axes.of_lesion(series, straight, lesion)
    for name, plain in axes.of_lesion(series, source.source, lesion).items():
        away = np.subtract(drawn[name].GraphicData, plain.GraphicData)  # column, row
        assert away == pytest.approx([2.0, -3.0] * 2)
    assert axes.of_lesion(series, object(), lesion) == {}


@pytest.mark.requirement("DX-OUT-03")
def test_nothing_found_is_said_of_the_images_that_were_read(stack: Callable[..., Any]) -> None:
    source = stack(starts=[])
    source.reading.answer.probability = 0.02
    objects = made(source)
    assert objects.keys() == {"SR"}
    text = said(dataset(objects["SR"][0]))
    assert "Presence: Absent" in text and "Certainty of Finding: 2.0 %" in text
    assert text.count("Source") == 20


@pytest.mark.requirement("DX-OUT-03")
@pytest.mark.parametrize(
    ("changed", "presence"),
    [
        ({"probability": 0.8, "operating_point": 0.3}, "Present"),
        ({"reported_elsewhere": 1}, "Present"),
        ({"probability": 0.2, "operating_point": 0.3}, "Absent"),
    ],
)
def test_what_is_suspected_without_a_place_is_not_called_absent(
    stack: Callable[..., Any], changed: dict[str, Any], presence: str
) -> None:
    source = stack()
    source.reading.lesions.clear()
    answer = source.reading.answer
    answer.ClearField("probability")
    answer.urgent = False
    for name, value in changed.items():
        setattr(answer, name, value)
    [one] = made(source)["SR"]
    text = said(dataset(one))
    assert f"Presence: {presence}" in text and text.count("Presence: ") == 1


@pytest.mark.requirement("DX-OUT-03")
def test_a_large_stack_is_named_whole_and_described_in_part(
    stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.imaging.dicom_out.structured.LIBRARY_MAX", 6)
    [report] = made(stack(starts=[]))["SR"]
    found = dataset(report)
    assert said(found).count("Source") == 5
    named = [
        item
        for study in found.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert len(named) == 20


@pytest.mark.requirement("DX-OUT-04")
@pytest.mark.parametrize("digital", [True, False])
def test_a_box_on_a_radiograph_is_drawn_in_report_and_presentation_state(
    phantom: ModuleType, dicom_sources: ModuleType, tmp_path: Path, digital: bool
) -> None:
    objects = made(dicom_sources.radiograph(phantom, tmp_path, digital=digital))
    assert objects.keys() == {"SR", "PR", "KO"}
    report = dataset(objects["SR"][0])
    [points] = [
        item.GraphicData
        for group in report.ContentSequence[-1].ContentSequence
        for item in group.ContentSequence
        if item.ValueType == "SCOORD"
    ]
    assert list(points) == [10, 12, 20, 12, 20, 30, 10, 30, 10, 12]
    state = dataset(objects["PR"][0])
    [annotation] = state.GraphicAnnotationSequence
    [drawn] = annotation.GraphicObjectSequence
    assert list(drawn.GraphicData) == [11, 13, 21, 13, 21, 31, 11, 31, 11, 13]
    assert drawn.TrackingUID == "2.25.7701"
    [shown] = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert shown.ReferencedSOPInstanceUID == dicom_sources.XRAY


@pytest.mark.requirement("DX-OUT-05")
def test_a_slide_has_its_heat_map_and_its_nuclei(
    phantom: ModuleType, dicom_sources: ModuleType, tmp_path: Path
) -> None:
    source = dicom_sources.slide(phantom, tmp_path)
    objects = made(source)
    fractional, binary = (dataset(one) for one in objects["SEG"])
    heat = source.reading.annotations.heat_map.values
    seen = hd.seg.Segmentation.from_dataset(fractional).get_total_pixel_matrix(
        combine_segments=False
    )
    assert np.abs(seen[..., 0] - np.nan_to_num(heat)).max() < 1 / 255
    region = hd.seg.Segmentation.from_dataset(binary).get_total_pixel_matrix()
    assert np.array_equal(region[..., 0] > 0, np.nan_to_num(heat) >= np.float32(0.4))
    shared = binary.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(each) for each in shared.PixelSpacing] == [0.05, 0.05]
    nuclei = hd.ann.MicroscopyBulkSimpleAnnotations.from_dataset(dataset(objects["ANN"][0]))
    [group] = nuclei.AnnotationGroupSequence
    assert group.NumberOfAnnotations == 50
    outlines = nuclei.get_annotation_groups()[0].get_graphic_data("2D")
    assert np.allclose(outlines[7], source.reading.annotations.nuclei.polygons[7])


@pytest.mark.requirement("DX-OUT-06")
def test_a_repeat_makes_the_same_files_and_a_retrained_model_others(
    stack: Callable[..., Any], dicom_sources: ModuleType
) -> None:
    once, again = list(write.objects([stack()])), list(write.objects([stack()]))
    assert [one.content for one in once] == [one.content for one in again]
    retrained = dicom_sources.model(digit="b")
    others = list(write.objects([stack(models=[retrained])]))
    uids = [one.sop_instance_uid for one in (*once, *others)]
    assert len(set(uids)) == len(uids) and all(uid.startswith("2.25.") for uid in uids)


@pytest.mark.requirement("DX-OUT-07")
def test_every_algorithm_is_contributing_equipment(
    stack: Callable[..., Any], dicom_sources: ModuleType
) -> None:
    models = [dicom_sources.model(), dicom_sources.model("lung-nodule-outline", "1.1.0", "c")]
    for one in write.objects([stack(models=models)]):
        items = dataset(one).ContributingEquipmentSequence
        ours = {
            (item.ManufacturerModelName, item.SoftwareVersions): item.DeviceUID
            for item in items
            if item.Manufacturer == "dxmesh"
        }
        assert set(ours) == {("lung-nodule-scorer", "2.0.0"), ("lung-nodule-outline", "1.1.0")}
        assert len(set(ours.values())) == 2


@pytest.mark.requirement("DX-OUT-08")
def test_an_object_that_cannot_be_made_costs_itself_alone(
    stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr("services.imaging.dicom_out.structured.report", broken)
    lost: list[tuple[str, str]] = []
    found = list(write.objects([stack()], lambda what, why: lost.append((what, str(why)))))
    assert [one.modality for one in found] == ["SEG", "KO"] and lost == [("SR", "no such thing")]


@pytest.mark.requirement("DX-OUT-09")
def test_every_code_is_in_a_dictionary_at_hand() -> None:
    for row in codes.rows():
        known = {
            code
            for entries in _concepts_dict.concepts.get(row["scheme"], {}).values()
            for code in entries
        }
        assert row["code"] in known | REFERENCE, row["key"]


@pytest.mark.requirement("DX-OUT-09")
def test_what_no_dictionary_has_is_coded_in_our_own_scheme(stack: Callable[..., Any]) -> None:
    long = codes.concept("measure-something-quite-unheard-of")
    assert long.scheme_designator == codes.OWN and len(long.value) == 16
    assert codes.concept("measure-something-quite-unheard-oh").value != long.value
    [report] = made(stack())["SR"]
    [scheme] = dataset(report).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == codes.OWN


def test_a_kind_that_nobody_foresaw_is_written(stack: Callable[..., Any]) -> None:
    source = stack()
    source.reading.lesions[0].finding.kind = "cyst"
    source.reading.lesions[0].finding.site = "somewhere"
    source.reading.lesions[0].finding.function = pb.FUNCTION_FRACTURES
    assert made(source).keys() == {"SEG", "SR", "KO"}
