"""Who a DICOM instance names: the strings that must not be found anywhere afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from services.anonymization import fields
from services.anonymization.known import KnownStrings


def _tags(*keywords: str) -> tuple[int, ...]:
    return tuple(tag for tag in map(tag_for_keyword, keywords) if tag is not None)


NAMES = _tags(
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "RequestingPhysician"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "ResponsiblePerson"),
)
NUMBERS = _tags(
    *("PatientID", "OtherPatientIDs", "PatientTelephoneNumbers", "AccessionNumber", "AdmissionID"),
    *(
        "PatientInsurancePlanCodeSequence",
        "MilitaryRank",
        "MedicalRecordLocator",
        "IssuerOfPatientID",
    ),
)
PLACES = _tags("PatientAddress", "InstitutionName", "InstitutionAddress", "RegionOfResidence")


def strings_of(dataset: Dataset) -> KnownStrings:
    """Return what the data set's own patient and visit attributes say."""
    encodings = fields.encodings_of(dataset)
    return KnownStrings(
        frozenset(_values(dataset, NAMES, encodings)),
        frozenset(_values(dataset, NUMBERS, encodings)),
        frozenset(_values(dataset, PLACES, encodings)),
    )


def _values(dataset: Dataset, tags: tuple[int, ...], encodings: list[str]) -> Iterator[str]:
    for tag in tags:
        element = dataset._dict.get(BaseTag(tag))
        if element is None or element.VR == "SQ":
            continue
        for value in (fields.text_of(element, encodings) or "").split("\\"):
            # The alphabetic, ideographic and phonetic groups of a name are three names.
            yield from (part.strip() for part in value.split("=") if part.strip(" ^"))
