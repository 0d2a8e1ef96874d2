"""One level of a slide as a DICOM VL Whole Slide Microscopy instance, piece by piece. Pure.

Source: DICOM PS3.3 A.32.8 (the IOD), C.8.12.4 (image), C.7.6.16 (functional groups), C.7.6.22
(specimen); PS3.5 A.4 (encapsulated frames, one fragment each, no offset table).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, VLWholeSlideMicroscopyImageStorage

from services.ingest.slides.tiff import NATIVE, Level

IMPLEMENTATION = UID("2.25.113059749145936325402354257176981405696")
SECTION_MM = 0.004
"""Thickness that is written where nobody knows it: a usual section."""
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00"
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Named:
    """The UIDs of an instance."""

    study: str
    series: str
    instance: str
    frame_of_reference: str
    number: int
    """From 1, the finest level first."""


def pieces(level: Level, named: Named, finest: Level) -> Iterator[bytes]:
    """Yield the file of a level: its header, then frame after frame."""
    yield _header(level, named, finest)
    if level.syntax == NATIVE:
        size = level.tiles * level.tile_width * level.tile_height * 3
        yield _PIXEL_DATA + struct.pack("<I", size + size % 2)
        yield from level.frames()
        if size % 2:
            yield b"\0"
        return
    yield _PIXEL_DATA + b"\xff\xff\xff\xff" + _ITEM + b"\0\0\0\0"
    for frame in level.frames():
        padded = frame + b"\0" * (len(frame) % 2)
        yield _ITEM + struct.pack("<I", len(padded)) + padded
    yield _END


def _header(level: Level, named: Named, finest: Level) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = UID(named.instance)
    meta.TransferSyntaxUID = UID(level.syntax)
    meta.ImplementationClassUID = IMPLEMENTATION
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _identify(dataset, named)
    _describe(dataset, level, finest)
    _functional_groups(dataset, level, named)
    _specimen(dataset)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _identify(dataset: Dataset, named: Named) -> None:
    dataset.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.SOPInstanceUID = named.instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = named.study, named.series
    dataset.FrameOfReferenceUID = named.frame_of_reference
    dataset.Modality = "SM"
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "AccessionNumber", "ReferringPhysicianName", "StudyID", "Manufacturer",
        "PositionReferenceIndicator", "ContentDate", "ContentTime",
    ):  # fmt: skip
        setattr(dataset, keyword, None)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, named.number
    dataset.ManufacturerModelName, dataset.DeviceSerialNumber = "not stated", "not stated"
    dataset.SoftwareVersions = "dxmesh ingest, from TIFF"
    dataset.AcquisitionDateTime = None


def _describe(dataset: Dataset, level: Level, finest: Level) -> None:
    is_finest = level is finest
    dataset.ImageType = (
        ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        if is_finest
        else ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    )
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, level.photometric
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = level.tile_height, level.tile_width
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.NumberOfFrames = level.tiles
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = level.width, level.height
    dataset.TotalPixelMatrixFocalPlanes = dataset.NumberOfOpticalPaths = 1
    dataset.ImagedVolumeWidth = finest.width * finest.mpp / 1e3
    dataset.ImagedVolumeHeight = finest.height * finest.mpp / 1e3
    dataset.ImagedVolumeDepth = SECTION_MM * 1e3
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    dataset.TotalPixelMatrixOriginSequence = [origin]
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.VolumetricProperties, dataset.FocusMethod = "VOLUME", "AUTO"
    dataset.SpecimenLabelInImage = dataset.ExtendedDepthOfField = "NO"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00" if level.syntax == NATIVE else "01"
    dataset.AcquisitionContextSequence = []


def _functional_groups(dataset: Dataset, level: Level, named: Named) -> None:
    measures, kind, path, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [round(level.mpp / 1e3, 10)] * 2
    measures.SliceThickness = SECTION_MM
    kind.FrameType = dataset.ImageType
    path.OpticalPathIdentifier = "1"
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [kind]
    shared.OpticalPathIdentificationSequence = [path]
    dataset.SharedFunctionalGroupsSequence = [shared]
    organization = Dataset()
    organization.DimensionOrganizationUID = named.frame_of_reference
    dataset.DimensionOrganizationSequence = [organization]


def _specimen(dataset: Dataset) -> None:
    dataset.ContainerIdentifier = "not stated"
    dataset.IssuerOfTheContainerIdentifierSequence = []
    dataset.ContainerTypeCodeSequence = [_code(codes.SCT.MicroscopeSlide)]
    specimen = Dataset()
    specimen.SpecimenIdentifier = "not stated"
    specimen.SpecimenUID = dataset.FrameOfReferenceUID
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenPreparationSequence = []
    dataset.SpecimenDescriptionSequence = [specimen]
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    optical.IlluminationTypeCodeSequence = [_code(codes.DCM.BrightfieldIllumination)]
    optical.IlluminationColorCodeSequence = [_code(codes.SCT.FullSpectrum)]
    dataset.OpticalPathSequence = [optical]


def _code(code: object) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator  # type: ignore[attr-defined]  # pydicom's Code
    item.CodeMeaning = code.meaning  # type: ignore[attr-defined]
    return item
