"""A de-identified DICOM data set made the hospital's again. Pure.

What comes back: the patient, the order's number, UIDs, days and times of day. What does not:
words that were taken out of descriptions, and pixels that were blanked.

Source: DICOM PS3.3 C.7.1.1, C.12.1.1.7; PS3.15 E.3.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from services.gateway.dicomweb.clock import to_true_datetime, to_true_time
from services.gateway.restore import Identity

Json = Any

SEXES = {"male": "M", "female": "F", "other": "O"}
ACCESSION = "ACSN"
TEXT_MAX = {"AccessionNumber": 16, "PatientID": 64, "StudyDescription": 64}
DEPTH_MAX = 64


def restore(dataset: Dataset, identity: Identity) -> None:
    """Put identity into a data set as anonymization wrote it, in place."""
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    _walk(dataset, identity, 0)
    for keyword, value in (*_of_patient(identity.patient), *_of_order(dataset, identity)):
        setattr(dataset, keyword, value[: TEXT_MAX.get(keyword, 64)])
    dataset.PatientIdentityRemoved = "NO"
    times = ("LongitudinalTemporalInformationModified",) if identity.time_shift_s else ()
    for keyword in ("DeidentificationMethod", "DeidentificationMethodCodeSequence", *times):
        if keyword in dataset:
            delattr(dataset, keyword)
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and "MediaStorageSOPInstanceUID" in meta:
        meta.MediaStorageSOPInstanceUID = UID(str(dataset.get("SOPInstanceUID") or ""))


def _walk(dataset: Dataset, identity: Identity, depth: int) -> None:
    for element in dataset:
        if element.VR == "SQ":
            if depth < DEPTH_MAX:
                for item in element.value or ():
                    _walk(item, identity, depth + 1)
        elif element.VR == "UI":
            element.value = _each(element.value, lambda uid: identity.uids.get(uid, uid))
        elif element.VR in ("DA", "DT") and element.value:
            element.value = _each(
                element.value,
                lambda text: to_true_datetime(text, identity.days, identity.time_shift_s),
            )
        elif element.VR == "TM" and element.value:
            element.value = _each(
                element.value, lambda text: to_true_time(text, identity.time_shift_s)
            )


def _each(value: Json, change: Any) -> Json:
    if isinstance(value, MultiValue):
        return [change(str(one)) for one in value]
    return change(str(value)) if value else value


def _of_patient(patient: Mapping[str, Json]) -> list[tuple[str, str]]:
    found = [("PatientName", person_name(patient.get("name", [])))]
    found.append(("PatientID", patient_id(patient)))
    birth = str(patient.get("birthDate", "")).replace("-", "")
    found.append(("PatientBirthDate", birth if len(birth) == 8 else ""))
    if sex := SEXES.get(str(patient.get("gender", ""))):
        found.append(("PatientSex", sex))
    return found


def person_name(names: Json) -> str:
    """Return a HumanName as PN: an official one before any other."""
    usable = [name for name in names if isinstance(name, Mapping)]
    usable.sort(key=lambda name: name.get("use") != "official")
    for name in usable:
        family, given = str(name.get("family", "")), name.get("given", [])
        parts = [family, *(str(one) for one in given[:2])]
        if family or given:
            return "^".join(_plain(part) for part in parts).rstrip("^")
        if name.get("text"):
            return _plain(str(name["text"]))
    return ""


def patient_id(patient: Mapping[str, Json]) -> str:
    """Return the medical record number, else the first identifier."""
    identifiers = [i for i in patient.get("identifier", []) if i.get("value")]
    for identifier in identifiers:
        if "MR" in _codes(identifier):
            return _plain(str(identifier["value"]))
    return _plain(str(identifiers[0]["value"])) if identifiers else ""


def _of_order(dataset: Dataset, identity: Identity) -> list[tuple[str, str]]:
    uid = str(dataset.get("StudyInstanceUID") or "")
    study = next((s for s in identity.imaging_studies if names(s, uid)), {})
    order = identity.service_request
    found = [("AccessionNumber", _accession(study) or _accession(order))]
    if study.get("description"):
        found.append(("StudyDescription", _plain(str(study["description"]))))
    referrer = study.get("referrer") or order.get("requester") or {}
    if referrer.get("display"):
        found.append(("ReferringPhysicianName", _plain(str(referrer["display"]))))
    return found


def names(study: Mapping[str, Json], uid: str) -> bool:
    """Tell whether an ImagingStudy is the one with a Study Instance UID."""
    return any(
        str(i.get("value", "")).removeprefix("urn:oid:") == uid for i in study.get("identifier", [])
    )


def _accession(resource: Mapping[str, Json]) -> str:
    for identifier in resource.get("identifier", []):
        if ACCESSION in _codes(identifier) and identifier.get("value"):
            return _plain(str(identifier["value"]))
    return ""


def _codes(identifier: Mapping[str, Json]) -> list[str]:
    return [str(c.get("code", "")) for c in identifier.get("type", {}).get("coding", [])]


def _plain(text: str) -> str:
    """Return text that cannot end a value or a component of a name early."""
    return "".join(" " if c in "\\^=" or ord(c) < 32 else c for c in text).strip()
