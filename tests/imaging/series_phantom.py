"""Small series of every kind: stacks that tilt or change their step, enhanced CT, radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
)

Picture = npt.NDArray[np.uint16]


def item(**values: Any) -> Dataset:
    """Return a data set of keywords."""
    made = Dataset()
    for name, value in values.items():
        setattr(
            made, name, Items(value) if isinstance(value, list) and _are_items(value) else value
        )
    return made


def _are_items(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], Dataset)


def tilt(datasets: list[Dataset], degrees: float) -> list[Dataset]:
    """Lean every slice about the x axis, the table's way unchanged."""
    angle = np.radians(degrees)
    for one in datasets:
        one.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle))]
    return datasets


def enhanced(
    datasets: Sequence[Dataset], *, slopes: Sequence[float] | None = None, shared: bool = True
) -> Dataset:
    """Return one multi-frame object of single slices; its frames in the order given.

    slopes : of each frame's rescale; stored values are divided by it
    shared : orientation and spacing in the shared groups, else in each frame's
    """
    first = datasets[0]
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedCTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "2.25.7777"
    for name in (
        *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "Modality"),
        *("PatientSex", "ImageType", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
        *("PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation"),
    ):
        setattr(made, name, getattr(first, name))
    made.NumberOfFrames = len(datasets)
    placed = {
        "PlaneOrientationSequence": [item(ImageOrientationPatient=first.ImageOrientationPatient)],
        "PixelMeasuresSequence": [
            item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
        ],
    }
    made.SharedFunctionalGroupsSequence = Items([item(**(placed if shared else {}))])
    frames, pixels = [], []
    for number, one in enumerate(datasets):
        slope = slopes[number] if slopes else 1
        frames.append(
            item(
                PlanePositionSequence=[item(ImagePositionPatient=one.ImagePositionPatient)],
                FrameContentSequence=[item(StackID="1", InStackPositionNumber=number + 1)],
                PixelValueTransformationSequence=[
                    item(RescaleSlope=slope, RescaleIntercept=-1024, RescaleType="HU")
                ],
                CTReconstructionSequence=[item(ConvolutionKernel="B30f")],
                **({} if shared else placed),
            )
        )
        values = np.frombuffer(one.PixelData, np.int16) / slope
        pixels.append(np.rint(values).astype(np.int16).tobytes())
    made.PerFrameFunctionalGroupsSequence = Items(frames)
    made.PixelData = b"".join(pixels)
    made["PixelData"].VR = "OW"
    return made


def bone(rows: int = 160, columns: int = 120) -> Picture:
    """Return a picture, 12 bit: a bright bar (bone) in grey tissue on dark air."""
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    tissue = 1800 * np.exp(-(((x - columns / 2) / (columns / 3.2)) ** 4)) * (0.7 + 0.3 * y / rows)
    bar = 1500 * np.exp(-(((x - columns / 2) / (columns / 12)) ** 4))
    noise = np.random.default_rng(4).normal(0, 12, (rows, columns))
    return np.clip(200 + tissue + bar + noise, 0, 4095).astype(np.uint16)


def radiograph(picture: Picture | None = None, number: int = 0, **values: Any) -> Dataset:
    """Return a digital X-ray of 12 bits, MONOCHROME2; `values` are set last."""
    picture = bone() if picture is None else picture
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = f"2.25.{8000 + number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.100", "2.25.201"
    made.PatientID, made.PatientSex, made.PatientAge = "pseudonym", "M", "034Y"
    made.Modality, made.ImageType = "DX", ["ORIGINAL", "PRIMARY"]
    made.BodyPartExamined, made.ViewPosition, made.ImageLaterality = "HAND", "PA", "L"
    made.Rows, made.Columns = picture.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.ImagerPixelSpacing = [0.15, 0.15]
    made.PixelData = picture.tobytes()
    made["PixelData"].VR = "OW"
    for name, value in values.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    return made


def computed_radiograph(**values: Any) -> Dataset:
    """Return a CR image."""
    made = radiograph(**values)
    made.SOPClassUID, made.Modality = ComputedRadiographyImageStorage, "CR"
    return made


def paper(rows: int = 400, columns: int = 300) -> Picture:
    """Return a scanned page: white, with lines of dark print."""
    page = np.full((rows, columns), 4000, np.uint16)
    chance = np.random.default_rng(2)
    for top in range(30, rows - 30, 14):
        for left in range(20, columns - 20, 6):
            if chance.random() < 0.7:
                page[top : top + 8, left : left + 2] = 100
    return page
