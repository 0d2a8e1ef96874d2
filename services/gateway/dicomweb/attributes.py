"""What QIDO-RS says of a study, series or instance, and what it is asked by. Pure.

Source: DICOM PS3.18 Tables 10.6.3-3 to 10.6.3-5; PS3.18 F (DICOM JSON).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

Attributes = dict[str, Any]

STUDY, SERIES, INSTANCE = "study", "series", "instance"
BULK_FROM = 1024
"""Bytes from which a binary value is told by its address."""
BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"))


def _tags(*keywords: str) -> tuple[str, ...]:
    return tuple(f"{tag_for_keyword(keyword) or 0:08X}" for keyword in keywords)


LEVELS: dict[str, tuple[str, ...]] = {
    STUDY: _tags(
        *("StudyDate", "StudyTime", "AccessionNumber", "TimezoneOffsetFromUTC"),
        *("ReferringPhysicianName", "StudyDescription", "PatientName", "PatientID"),
        *("PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight"),
        *("StudyInstanceUID", "StudyID"),
    ),
    SERIES: _tags(
        *("Modality", "Manufacturer", "ManufacturerModelName", "SeriesDescription", "SeriesDate"),
        *("SeriesTime", "SeriesInstanceUID", "SeriesNumber", "Laterality", "BodyPartExamined"),
        *("PatientPosition", "FrameOfReferenceUID", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime",),
    ),
    INSTANCE: _tags(
        *("ImageType", "SOPClassUID", "SOPInstanceUID", "ContentDate", "ContentTime"),
        *("AcquisitionDate", "AcquisitionTime", "InstanceNumber", "Rows", "Columns"),
        *("BitsAllocated", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient"),
        *("ImageOrientationPatient", "SliceThickness", "SliceLocation", "ContentLabel"),
        *("ContentDescription", "CompletionFlag", "VerificationFlag", "WindowCenter"),
        *("WindowWidth", "TotalPixelMatrixColumns", "TotalPixelMatrixRows", "ImagedVolumeWidth"),
        *("PhotometricInterpretation", "ImagedVolumeHeight"),
    ),
}
"""Attributes that are kept in the index, by level; tags as DICOM JSON writes them."""
SUMS: dict[str, tuple[str, ...]] = {
    STUDY: _tags(
        *("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries"),
        *("NumberOfStudyRelatedInstances", "InstanceAvailability", "RetrieveURL"),
    ),
    SERIES: _tags("NumberOfSeriesRelatedInstances", "InstanceAvailability", "RetrieveURL"),
    INSTANCE: _tags("InstanceAvailability", "RetrieveURL", "AvailableTransferSyntaxUID"),
}
"""Attributes that are counted or made for the answer."""
DEFAULTS: dict[str, frozenset[str]] = {
    STUDY: frozenset(
        _tags(
            *("SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber"),
            *("ModalitiesInStudy", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"),
            *("StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
            *("InstanceAvailability", "RetrieveURL"),
        )
    ),
    SERIES: frozenset(
        _tags(
            *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber"),
            *("NumberOfSeriesRelatedInstances", "PerformedProcedureStepStartDate"),
            *("PerformedProcedureStepStartTime", "RetrieveURL"),
        )
    ),
    INSTANCE: frozenset(
        _tags(
            *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns"),
            *("BitsAllocated", "NumberOfFrames", "InstanceAvailability", "RetrieveURL"),
            *("AvailableTransferSyntaxUID",),
        )
    ),
}
"""What is said without being asked for."""


UIDS = {STUDY: "0020000D", SERIES: "0020000E", INSTANCE: "00080018"}
"""What names one of a level."""


class Held(Protocol):
    """A series of the index, as much as is counted; `store.dicom.Series` is one."""

    @property
    def attributes(self) -> Attributes:
        """What is said of it."""

    @property
    def instances(self) -> Sequence[HeldInstance]:
        """Its instances."""


class HeldInstance(Protocol):
    """An instance of the index."""

    @property
    def sop_class(self) -> str:
        """Its SOP Class UID."""


def sums_of(series: Sequence[Held]) -> Attributes:
    """Return what a study says of its series together."""
    modalities = sorted({first(one.attributes, "00080060") for one in series})
    classes = sorted({i.sop_class for one in series for i in one.instances})
    return (
        value("00080061", *modalities)
        | value("00080062", *classes)
        | value("00201206", len(series))
        | value("00201208", sum(len(one.instances) for one in series))
    )


def level_of(tag: str) -> str:
    """Return the level an attribute belongs to; empty when it is not in the index."""
    for level in (STUDY, SERIES, INSTANCE):
        if tag in LEVELS[level] or tag in SUMS[level]:
            return level
    return ""


def vr_of(tag: str) -> str:
    """Return an attribute's value representation."""
    return str(dictionary_VR(int(tag, 16)))


def value(tag: str, *values: object) -> Attributes:
    """Return one attribute as DICOM JSON has it."""
    kept = [one for one in values if one not in ("", None)]
    return {tag: {"vr": vr_of(tag), "Value": kept} if kept else {"vr": vr_of(tag)}}


def first(said: Attributes, tag: str) -> str:
    """Return an attribute's first value as text; empty when it has none."""
    values = said.get(tag, {}).get("Value") or [""]
    return "" if values[0] is None else str(values[0])


def picked(dataset: Dataset, tags: Iterable[str]) -> Attributes:
    """Return those attributes that a data set has."""
    found: Attributes = {}
    for tag in tags:
        element = dataset.get(Tag(int(tag, 16)))
        if isinstance(element, DataElement):
            found[tag] = _json(element)
    return found


def complete(dataset: Dataset, address: str, path: str = "") -> Attributes:
    """Return a whole data set as DICOM JSON; large binary values by their address.

    Parameters
    ----------
    address : of the instance, relative to its series
    path : of the sequence item the data set is, "tag.item."
    """
    made: Attributes = {}
    for element in dataset:
        tag = f"{int(element.tag):08X}"
        if element.VR == "SQ":
            items = enumerate(element.value or ())
            nested = [complete(item, address, f"{path}{tag}.{n}.") for n, item in items]
            made[tag] = {"vr": "SQ", "Value": nested} if nested else {"vr": "SQ"}
        elif element.VR in BINARY and len(element.value or b"") > BULK_FROM:
            vr = element.VR if len(element.VR) == 2 else "OW"
            made[tag] = {"vr": vr, "BulkDataURI": f"{address}/bulkdata/{path}{tag}"}
        else:
            made[tag] = _json(element)
    return made


def _json(element: DataElement) -> Attributes:
    try:
        return dict(element.to_json_dict(None, 1 << 30))
    except (ValueError, TypeError, AttributeError, NotImplementedError, OverflowError):
        return {"vr": str(element.VR)[:2]}  # a value that cannot be written is left out


def element_at(dataset: Dataset, path: str) -> DataElement | None:
    """Return the element that `complete` gave an address, or None."""
    parts, place = path.split("."), dataset
    try:
        for tag, number in _pairs(parts[:-1]):
            place = place[Tag(int(tag, 16))].value[int(number)]
        found = place.get(Tag(int(parts[-1], 16)))
    except (KeyError, ValueError, IndexError, TypeError, OverflowError):
        return None
    return found if isinstance(found, DataElement) else None


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    return zip(parts[::2], parts[1::2], strict=True)
