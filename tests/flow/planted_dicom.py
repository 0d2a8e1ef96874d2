"""A CT slice with something planted in every attribute that can hold text, date or UID."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pydicom import dcmread, dcmwrite
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from tests.flow.cases import SAMPLES
from tests.flow.planting import Plants

NEEDED = frozenset(
    (
        *("SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "BodyPartExamined"),
        *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
        *("PatientPosition", "PhotometricInterpretation", "BurnedInAnnotation", "PatientSex"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth"),
        *("NumberOfFrames", "InstanceNumber", "PatientOrientation", "PixelPresentation"),
        *("LossyImageCompression", "VolumetricProperties", "PresentationLUTShape"),
        *("SpacingBetweenSlices", "SliceLocation", "GantryDetectorTilt", "ConvolutionKernel"),
        *("ModalityLUTType", "VOILUTFunction", "SeriesDescription", "PatientAge"),
        *("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"),
        *("PatientComments", "PrivateInformationCreatorUID"),
    )
)
"""What an analysis needs, what sets an image aside, and what is planted in another way."""
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
LONG = ("LT", "ST", "UC", "UT")
REPEATED = ((0x5000, 0x2500, "LO"), (0x6000, 0x0022, "LO"), (0x6000, 0x1500, "LO"))
OVERLAY_COMMENTS = (0x6000, 0x4000, "LT")
UNKNOWN_TAGS = (0x00060010, 0x00080077, 0x001023FF, 0x00450002)
JPEG_START, JPEG_COMMENT = b"\xff\xd8", b"\xff\xfe"


def tokens(number: int, plants: Plants) -> FileDataset:
    """Return a slice of the sample with a token of its own in each attribute, at every depth."""
    return _planted(number, lambda keyword, vr: _token(keyword, vr, plants), plants)


def person(number: int, plants: Plants) -> FileDataset:
    """Return a slice that says who the patient is in each attribute."""
    return _planted(number, lambda keyword, vr: _fact(keyword, vr, plants), plants)


def write(dataset: FileDataset, path: Path, plants: Plants) -> None:
    """Write the file with a preamble that is not empty and a comment in its pixels."""
    where = "DICOM pixel data, comment segment"
    comment = plants.token(where).encode()
    dataset.PixelData = encapsulate(
        [
            JPEG_START + JPEG_COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment + frame[2:]
            for frame in generate_frames(dataset.PixelData, number_of_frames=1)
        ]
    )
    dataset["PixelData"].is_undefined_length = True
    dataset.preamble = plants.token("DICOM preamble").encode().ljust(128, b"\0")
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    path.write_bytes(buffer.getvalue())


Value = Callable[[str, str], Any]


def _planted(number: int, value: Value, plants: Plants) -> FileDataset:
    dataset = dcmread(SAMPLES / "ct" / f"slice-{number:02}.dcm")
    dataset.SpecificCharacterSet = "GB18030"
    for tag, vr, keyword in _attributes():
        dataset[tag] = DataElement(tag, vr, value(keyword, vr))
    dataset.PatientAge = "094Y"
    for group, element, vr in (*REPEATED, OVERLAY_COMMENTS):
        dataset[Tag(group, element)] = DataElement(
            Tag(group, element), vr, value(f"({group:04X},{element:04X})", vr)
        )
    _nest(dataset, value)
    _unknown(dataset, value)
    meta = dataset.file_meta
    for name in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle"):
        setattr(meta, name, plants.token(f"DICOM file meta {name}"))
    meta.ImplementationVersionName = plants.token("DICOM file meta ImplementationVersionName")
    meta.PrivateInformationCreatorUID = plants.uid("DICOM file meta PrivateInformationCreatorUID")
    meta.PrivateInformation = plants.token("DICOM file meta PrivateInformation").encode() + b" "
    return dataset


def _attributes() -> Iterator[tuple[BaseTag, str, str]]:
    """Yield every attribute of the dictionary that can hold something, less what is needed."""
    for tag, (vr, _vm, _name, _retired, keyword) in sorted(DicomDictionary.items()):
        if tag >> 16 <= 0x0004 or not keyword or keyword in NEEDED or tag >> 16 == 0xFFFE:
            continue
        if vr in (*TEXTS, "DA", "DT", "TM", "UI", "AS", "IS", "DS"):
            yield Tag(tag), vr, keyword


def _token(keyword: str, vr: str, plants: Plants) -> Any:
    where = f"DICOM {keyword} ({vr})"
    if vr in ("IS", "DS"):
        return plants.fact(where, plants.person.record)
    if vr == "AS":
        return "094Y"
    if vr in ("DA", "DT", "TM"):
        return _moment(where, vr, plants)
    if vr == "UI":
        return plants.uid(where)
    if vr == "UR":
        return f"https://{plants.token(where).lower()}.example/record"
    if vr == "PN":
        return f"{plants.token(where)}^{plants.token(where)}"
    if vr in LONG:
        return f"CHEST CT of {plants.token(where)}, reviewed"
    return plants.token(where)


def _fact(keyword: str, vr: str, plants: Plants) -> Any:
    who, where = plants.person, f"DICOM {keyword} ({vr})"
    known = {
        "PatientName": f"{who.pinyin.replace(' ', '^')}={who.family}^{who.given}",
        "PatientID": who.record,
        "PatientTelephoneNumbers": who.phone,
        "PatientAddress": who.street,
        "OtherPatientIDs": who.national_id,
    }
    if keyword in known:
        return plants.fact(where, known[keyword])
    if keyword == "PatientBirthDate":
        return f"{plants.that_day(where, who.born):%Y%m%d}"
    if vr in ("DA", "DT", "TM", "UI", "AS", "IS", "DS", "UR"):
        return _token(keyword, vr, plants)
    if vr == "CS":
        return plants.fact(where, who.pinyin.split()[0].upper())
    if vr in ("AE", "SH"):
        return plants.fact(where, who.record)
    if vr == "PN":
        return f"{who.pinyin.replace(' ', '^')}={who.family}^{who.given}"
    if vr == "LO":
        return f"CHEST CT {who.pinyin} {who.name}"
    return f"CHEST CT {who.name} {who.pinyin.upper()} {who.record} TEL {who.phone} axial"


def _moment(where: str, vr: str, plants: Plants) -> str:
    clock = "101112.573194"
    if vr == "TM":
        return clock
    day: date = plants.day(where)
    return f"{day:%Y%m%d}" + (f"{clock}+0800" if vr == "DT" else "")


def _nest(dataset: Dataset, value: Value) -> None:
    """Put items into known sequences, five deep, and structured content."""
    inner = dataset
    for depth, keyword in enumerate(
        (
            "RequestAttributesSequence",
            "ReferencedStudySequence",
            "SourceImageSequence",
            "PurposeOfReferenceCodeSequence",
            "EquivalentCodeSequence",
        ),
        1,
    ):
        item = Dataset()
        for name, vr in (
            ("ScheduledProcedureStepDescription", "LO"),
            ("RequestedProcedureID", "SH"),
            ("CodeMeaning", "LO"),
            ("CodeValue", "SH"),
            ("ReferencedSOPInstanceUID", "UI"),
            ("RequestingPhysician", "PN"),
            ("StudyDate", "DA"),
            ("TextValue", "UT"),
            ("DerivationDescription", "ST"),
        ):
            setattr(item, name, value(f"{name}, {depth} deep", vr))
        setattr(inner, keyword, Sequence([item]))
        inner = item
    content = Dataset()
    content.RelationshipType, content.ValueType = "CONTAINS", "TEXT"
    for name, vr in (("TextValue", "UT"), ("PersonName", "PN"), ("Date", "DA"), ("UID", "UI")):
        setattr(content, name, value(f"ContentSequence {name}", vr))
    dataset.ContentSequence = Sequence([content])
    dataset.OriginalAttributesSequence = Sequence([_original(value)])


def _original(value: Value) -> Dataset:
    modified = Dataset()
    modified.PatientName = value("OriginalAttributesSequence PatientName", "PN")
    modified.AccessionNumber = value("OriginalAttributesSequence AccessionNumber", "SH")
    original = Dataset()
    original.ModifyingSystem = value("OriginalAttributesSequence ModifyingSystem", "LO")
    original.ModifiedAttributesSequence = Sequence([modified])
    return original


def _unknown(dataset: Dataset, value: Value) -> None:
    """Add private, unknown and disguised elements."""
    block = dataset.private_block(0x0029, value("private creator", "LO"), create=True)
    for offset, vr in enumerate(("LO", "UT", "PN", "DA", "UI"), 1):
        block.add_new(offset, vr, value(f"private {vr}", vr))
    block.add_new(0x20, "OB", str(value("private OB", "LO")).encode().ljust(64))
    inside = Dataset()
    inside.PatientName = value("private sequence PatientName", "PN")
    block.add_new(0x21, "SQ", Sequence([inside]))
    dataset.add_new(0x00311001, "LO", value("private without a creator", "LO"))
    for tag in UNKNOWN_TAGS:
        assert not keyword_for_tag(tag)
        dataset.add_new(tag, "LO", value(f"unknown {tag:08X}", "LO"))
    nested = Dataset()
    nested.PatientComments = value("unknown sequence PatientComments", "LT")
    dataset.add_new(0x00450004, "SQ", Sequence([nested]))
    # A known attribute written as UN, and text in a binary one.
    dataset[0x00104000] = DataElement(
        0x00104000, "UN", str(value("PatientComments as UN", "LT")).encode("gb18030").ljust(64)
    )
    dataset.add_new(0x00420011, "OB", str(value("EncapsulatedDocument", "LT")).encode().ljust(64))
    dataset.add_new(0xFFFCFFFC, "OB", str(value("trailing padding", "LO")).encode().ljust(64))


def identify(dataset: Dataset, plants: Plants) -> None:
    """Say in a slice's usual attributes who the patient is."""
    who = plants.person
    dataset.SpecificCharacterSet = "GB18030"
    dataset.PatientName = f"{who.pinyin.replace(' ', '^')}={who.family}^{who.given}"
    dataset.PatientID, dataset.PatientAge = who.record, "094Y"
    dataset.PatientBirthDate = f"{who.born:%Y%m%d}"
    dataset.StudyDescription = f"CHEST CT {who.name} {who.record}"
