"""Sources as readers leave them, for the DICOM writers: a stack, a radiograph, a slide."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    VLWholeSlideMicroscopyImageStorage,
)

from services.imaging.reading import (
    Annotations,
    HeatMap,
    Lesion,
    Nuclei,
    Reading,
    ReadSource,
    measure,
    quality,
)
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.sources import SlideFiles
from services.imaging.series.volume import Volume

XRAY, SLIDE = "2.25.41", "2.25.51"


def model(name: str = "lung-nodule-scorer", version: str = "2.0.0", digit: str = "a") -> ModelUse:
    return ModelUse(name=name, version=version, model_sha256=digit * 64)


def nodule(number: int, volume: Volume, start: tuple[int, int, int], **changes: Any) -> Lesion:
    """Return a lesion of 4 x 6 x 6 voxels that begins at a voxel of the volume."""
    finding = pb.Finding(
        finding_id=f"nodule-{number}",
        function=pb.FUNCTION_NODULES,
        kind="nodule",
        laterality=pb.LATERALITY_LEFT,
        site="upper-lobe",
        probability=0.93,
        segment_number=number,
        tracking_uid=f"2.25.{7000 + number}",
    )
    finding.place.sop_instance_uid = volume.sop_uids[start[0] + 1]
    finding.place.slice_index = start[0] + 1
    finding.place.box.CopyFrom(pb.PixelBox(left=start[2], top=start[1], right=9, bottom=9))
    finding.measures.extend(
        [
            measure("long-axis", 12.34, "mm"),
            measure("short-axis", 6.1, "mm"),
            measure("volume", 812.2, "mm3"),
            measure("attenuation", 31.2, "[hnsf'U]"),
            measure("doubling-time", 120, "d"),
        ]
    )
    finding.qualities.extend(
        [
            quality("consistency", "part-solid"),
            quality("malignancy", "indeterminate", 0.4),
            quality("lung-rads", "4A"),
            quality("margin", "spiculated"),
        ]
    )
    return Lesion(finding, changes.get("mask", np.ones((4, 6, 6), bool)), start)


def grid(datasets: list[Dataset], **changes: Any) -> Volume:
    """Return the grid of slices as the worker hands it to the writers: no voxels."""
    first, second = datasets[0], datasets[1]
    corner = np.array(first.ImagePositionPatient, float)
    affine = np.eye(4)
    affine[:3, 0] = np.array(second.ImagePositionPatient, float) - corner
    affine[:3, 1] = np.array(first.ImageOrientationPatient[3:], float) * first.PixelSpacing[0]
    affine[:3, 2] = np.array(first.ImageOrientationPatient[:3], float) * first.PixelSpacing[1]
    affine[:3, 3] = corner
    shape = (len(datasets), int(first.Rows), int(first.Columns))
    values = {
        "hu": np.broadcast_to(np.int16(0), shape),
        "affine": affine,
        "sop_uids": tuple(str(each.SOPInstanceUID) for each in datasets),
        "positions_mm": np.array([each.ImagePositionPatient for each in datasets], float),
    }
    return Volume(**(values | changes))


def save(datasets: list[Dataset], folder: Path, phantom: ModuleType) -> list[Path]:
    paths = []
    for number, dataset in enumerate(datasets, start=1):
        paths.append(folder / f"{number:04}.dcm")
        paths[-1].write_bytes(phantom.written(dataset))
    return paths


def read_source(
    source: object,
    files: list[Path],
    lesions: list[Lesion],
    answer: pb.Answer,
    *,
    series: str,
    models: list[ModelUse] | None = None,
    annotations: Annotations | None = None,
) -> ReadSource:
    return ReadSource(
        facts=SimpleNamespace(series_uid=series),
        source=source,
        files=files,
        reading=Reading(answer, lesions, annotations=annotations),
        models=[model()] if models is None else models,
    )


def stack(phantom: ModuleType, folder: Path, **changes: Any) -> ReadSource:
    """Return a chest of 20 slices with two nodules."""
    datasets = phantom.datasets(phantom.Chest(slices=20, rows=64, columns=80))
    for dataset in datasets:
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200102", "101112.5", "7"
    files = save(datasets, folder, phantom)
    volume = grid(datasets, **changes.pop("volume", {}))
    starts = changes.pop("starts", [(3, 10, 10), (9, 30, 40)])
    lesions = [nodule(n, volume, start) for n, start in enumerate(starts, start=1)]
    answer = pb.Answer(function=pb.FUNCTION_NODULES, operating_point=0.4, looked_for=["427359005"])
    return read_source(volume, files, lesions, answer, series=phantom.SERIES, **changes)


def radiograph(phantom: ModuleType, folder: Path, *, digital: bool = True) -> ReadSource:
    """Return a hand with a box, as DX or as CR with little in its header."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kind = DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = XRAY
    made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID = "2.25.40", "2.25.42", "p"
    made.Modality, made.BodyPartExamined = "DX" if digital else "CR", "HAND"
    made.Rows, made.Columns, made.SamplesPerPixel = 60, 50, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    if digital:
        made.ImagerPixelSpacing, made.PatientOrientation = [0.15, 0.15], ["L", "F"]
        made.ImageLaterality, made.WindowCenter, made.WindowWidth = "L", 2048, 4096
    made.PixelData = bytes(60 * 50 * 2)
    made["PixelData"].VR = "OW"
    finding = pb.Finding(
        finding_id="fracture-1",
        function=pb.FUNCTION_FRACTURES,
        kind="fracture",
        laterality=pb.LATERALITY_LEFT,
        site="hand",
        probability=0.83,
        tracking_uid="2.25.7701",
    )
    finding.place.sop_instance_uid = XRAY
    finding.place.box.CopyFrom(pb.PixelBox(left=10, top=12, right=20, bottom=30))
    answer = pb.Answer(function=pb.FUNCTION_FRACTURES, operating_point=0.4, probability=0.9)
    source = Radiograph(grey=np.zeros((60, 50), np.float32), sop_uid=XRAY)
    files = save([made], folder, phantom)
    return read_source(source, files, [Lesion(finding)], answer, series="2.25.42")


def slide(phantom: ModuleType, folder: Path) -> ReadSource:
    """Return a slide of 2000 x 3000 pixels with a heat map and fifty nuclei."""
    files = save([_slide_header()], folder, phantom)
    random = np.random.default_rng(1)
    heat = random.random((20, 30)).astype(np.float32)
    heat[:5] = np.nan
    centroids = random.uniform(10, 1000, (50, 2)).astype(np.float32)
    square = np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]], np.float32)
    finding = pb.Finding(
        finding_id="tumour-1",
        function=pb.FUNCTION_PATHOLOGY,
        kind="tumour",
        probability=0.97,
        tracking_uid="2.25.7702",
    )
    finding.place.sop_instance_uid = SLIDE
    finding.place.box.CopyFrom(pb.PixelBox(left=10, top=12, right=2000, bottom=1300))
    finding.measures.extend(
        [measure("cellularity", 44, "%", low=30, high=55), measure("density", 1200, "/mm2")]
    )
    answer = pb.Answer(function=pb.FUNCTION_PATHOLOGY, operating_point=0.4, probability=0.9)
    answer.qualities.append(quality("type", "adenocarcinoma", 0.97))
    areas = np.full(50, 36, np.float32)
    drawn = Annotations(
        HeatMap(heat, 100.0), Nuclei(centroids, [each + square for each in centroids], areas)
    )
    source = SlideFiles(paths=tuple(files), sop_uids=(SLIDE,))
    lesions = [Lesion(finding)]
    return read_source(source, files, lesions, answer, series="2.25.52", annotations=drawn)


def _slide_header() -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = SLIDE
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.50", "2.25.52"
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = "2.25.53", "SLIDE_CORNER"
    made.Modality, made.PatientID, made.InstanceNumber = "SM", "p", 1
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.Rows = made.Columns = 256
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows, made.NumberOfFrames = 3000, 2000, 96
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20, 40
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImageOrientationSlide, made.DimensionOrganizationType = [0, -1, 0, -1, 0, 0], "TILED_FULL"
    made.TotalPixelMatrixFocalPlanes = made.NumberOfOpticalPaths = 1
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    made.OpticalPathSequence = [path]
    made.ContainerIdentifier = "slide-1"
    made.IssuerOfTheContainerIdentifierSequence, made.ContainerTypeCodeSequence = [], []
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "s", "2.25.54"
    specimen.IssuerOfTheSpecimenIdentifierSequence, specimen.SpecimenPreparationSequence = [], []
    made.SpecimenDescriptionSequence = [specimen]
    shared, pixels = Dataset(), Dataset()
    pixels.PixelSpacing, pixels.SliceThickness = [0.0005, 0.0005], 0.001
    shared.PixelMeasuresSequence = [pixels]
    made.SharedFunctionalGroupsSequence = [shared]
    return made
