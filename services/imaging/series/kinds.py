"""What kind of image each instance is, by its header: a slice, a radiograph, a slide, or none."""

from __future__ import annotations

from enum import Enum

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from services.imaging.series import refusals
from services.imaging.series.attributes import first, upper
from services.imaging.series.headers import Header


class Kind(Enum):
    """What an image is read as."""

    SLICE = "slice"
    RADIOGRAPH = "radiograph"
    SLIDE = "slide"


LOCALISERS = frozenset(("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SURVEY"))
PROJECTED = frozenset(
    ("MIP", "MINIP", "PROJECTION IMAGE", "RAYSUM", "VRT", "SSD", "SUBTRACTION", "AVERAGE PROJ")
)
CAPTURED = frozenset(
    ("SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE", "DOSE_INFO", "DOSE INFO", "REPORT", "PATIENT")
)
COMPUTED = frozenset(
    (
        *("PERFUSION", "CBF", "CBV", "MTT", "TTP", "TMAX", "IODINE", "IODINE MAP", "EFF_Z"),
        *("ZEFF", "ELECTRON DENSITY", "VNC", "CALCIUM SCORING MAP", "COLOR MAP", "3D", "FUSED"),
    )
)
"""ImageType values (PS3.3 C.7.6.1.1.2, C.8.2.1.1.1 and what makers write) of what is no slice."""

CT_CLASSES = frozenset(
    (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
)
CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture and, with a suffix, its multi-frame forms."""

PROJECTION_MODALITIES = frozenset(("CR", "DX", "RG", "DR"))
PAPER = frozenset(("SD", "WSD", "DRW", "SYN"))
"""Conversion Type (PS3.3 C.8.6.1): scanned document, workstation, drawing, synthetic."""

HUMAN = ("", "HUMAN", "HOMO SAPIENS", "337915000")


def kind_of(dataset: Dataset, header: Header) -> Kind:
    """Return what an image is read as.

    Raises
    ------
    SeriesRefused
        It is set aside: the type is the reason.
    """
    _check_patient(dataset)
    if header.sop_class == VLWholeSlideMicroscopyImageStorage:
        return Kind.SLIDE
    if header.sop_class.startswith(CAPTURE_CLASS):
        return _capture(dataset, header)
    if header.modality in PROJECTION_MODALITIES:
        return Kind.RADIOGRAPH
    if header.modality == "CT" or (not header.modality and header.sop_class in CT_CLASSES):
        return _slice(dataset, header)
    raise refusals.OtherModality(
        "the series is of a kind that no reading takes", modality=header.modality or "not stated"
    )


def _slice(dataset: Dataset, header: Header) -> Kind:
    said = frozenset(header.image_type)
    if LOCALISERS & said:
        raise refusals.Localiser("an overview image is no slice")
    if shown := (CAPTURED & said):
        raise refusals.SecondaryCapture(
            "a picture of a screen, not slices", image_type=sorted(shown)[0]
        )
    if shown := ((PROJECTED | COMPUTED) & said):
        raise refusals.DerivedImages("computed pictures, not slices", image_type=sorted(shown)[0])
    if header.frames > 1 and "PerFrameFunctionalGroupsSequence" not in dataset:
        raise refusals.MultiFrame(
            "a file of several slices does not say where they lie", frames=header.frames
        )
    return Kind.SLICE


def _capture(dataset: Dataset, header: Header) -> Kind:
    """Return how a secondary capture is read: an X-ray on film or from an old panel, or not."""
    conversion = upper(dataset, "ConversionType")
    readable = header.modality in PROJECTION_MODALITIES and conversion not in PAPER
    if readable and not (CAPTURED & frozenset(header.image_type)):
        return Kind.RADIOGRAPH
    raise refusals.SecondaryCapture(
        "a picture of a screen or of paper, not measured values",
        modality=header.modality or "not stated",
        conversion=conversion or "not stated",
    )


def _check_patient(dataset: Dataset) -> None:
    species = upper(dataset, "PatientSpeciesDescription")
    code = upper(first(dataset, "PatientSpeciesCodeSequence"), "CodeValue")
    human = species in HUMAN and code in (*HUMAN, "L-85B00")
    if not human and (species or code):
        raise refusals.NotAPatient("the header says that this is no human", species="stated")
    if dataset.get("PatientBreedDescription"):
        raise refusals.NotAPatient("the header says that this is an animal", species="breed stated")
    if upper(dataset, "QualityControlImage") == "YES":
        raise refusals.NotAPatient(
            "the header says that this is a phantom", species="phantom stated"
        )
