"""De-identifies a DICOM data set in place, in one walk.

A listed attribute gets the action of PS3.15 Table E.1-1 (`ps315`). An attribute that is not
listed is kept only as far as its value representation can be judged: numbers are numbers,
UIDs are mapped, dates are moved, and text is kept when every word of it is in a closed
vocabulary. Private elements, curves, overlays and unknown elements go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from services.anonymization import dates, fields, files, marks, values
from services.anonymization.fields import Element
from services.anonymization.known import KnownStrings
from services.anonymization.ps315 import CHOSEN, FALLBACK, Action
from services.anonymization.pseudonyms import Pseudonyms

PATIENT_ID, PATIENT_AGE, PATIENT_BIRTH_DATE = 0x00100020, 0x00101010, 0x00100030
STUDY_DATE, CHARSET, SOP_INSTANCE = 0x00080020, 0x00080005, 0x00080018
DEPTH_MAX = 64


@dataclass(slots=True)
class Walk:
    """One data set on its way through."""

    pseudonyms: Pseudonyms
    known: KnownStrings
    encodings: list[str] = field(default_factory=lambda: ["iso8859"])
    unreadable: int = 0


def deidentify(dataset: Dataset, pseudonyms: Pseudonyms, known: KnownStrings) -> None:
    """Remove identity from `dataset` in place and mark it as de-identified.

    Parameters
    ----------
    dataset : as read from a file (values may be raw) or built in memory
    pseudonyms : of the patient
    known : strings that identify this patient and may stand anywhere

    Source: DICOM PS3.15 Annex E.
    """
    age = _age(dataset)
    walk = Walk(pseudonyms, known)
    _clean(dataset, walk, 0)
    if age:
        dataset._dict[BaseTag(PATIENT_AGE)] = fields.new(PATIENT_AGE, "AS", age)
    implicit, little = dataset.original_encoding
    marks.write_marks(dataset, bool(implicit), little is not False)
    if isinstance(dataset, FileDataset):
        dataset.preamble = b"\0" * 128 if dataset.preamble else dataset.preamble
        if dataset.file_meta:
            uid = str(dataset.get("SOPInstanceUID") or "")
            meta_uid = str(dataset.file_meta.get("MediaStorageSOPInstanceUID", ""))
            new = uid or (pseudonyms.uid(meta_uid) if meta_uid else "")
            dataset.file_meta = marks.own_meta(dataset.file_meta, new)


def _age(dataset: Dataset) -> str | None:
    """Return the age at the study, from the birth date that will go; None when stated."""
    if dataset.get_item(PATIENT_AGE) is not None and dataset.get("PatientAge"):
        return None
    birth, study = (
        fields.text_of(item, ["ascii"]) if (item := dataset.get_item(tag)) is not None else None
        for tag in (PATIENT_BIRTH_DATE, STUDY_DATE)
    )
    years = dates.years_between(birth or "", study or "")
    if years is None:
        return None
    return f"{min(int(years), values.AGE_YEARS_MAX):03}Y"


def _clean(dataset: Dataset, walk: Walk, depth: int) -> None:
    """Clean one data set or sequence item."""
    elements = dataset._dict
    if CHARSET in elements:
        walk.encodings = fields.encodings_of(dataset)
    outer = walk.encodings
    for tag in list(elements):
        group = tag >> 16
        if group & 1 or 0x5000 <= group <= 0x501E or 0x6000 <= group <= 0x601E or not tag & 0xFFFF:
            del elements[tag]
            continue
        element = elements[tag]
        try:
            kept = _element(dataset, int(tag), element, walk, depth)
        except files.UNREADABLE:  # such an element is removed
            walk.unreadable += 1
            kept = None
        if kept is None:
            del elements[tag]
        elif kept is not element:
            elements[tag] = kept
        walk.encodings = outer


def _element(
    dataset: Dataset, tag: int, element: Element, walk: Walk, depth: int
) -> Element | None:
    """Return the element as it may stay; None: it goes."""
    action = CHOSEN.get(tag)
    if action is Action.REMOVE:
        return None
    vr = _vr(tag, element)
    if vr is None:
        return None
    if vr == "SQ":
        return _sequence(dataset, tag, action, walk, depth)
    if element.value is None or element.value == b"" or element.value == "":
        return element
    if action is None or action is Action.KEEP:
        return values.kept(tag, vr, element, walk)
    changed = values.changed(action, tag, vr, element, walk)
    if changed is None and action in (Action.SHIFT, Action.DESCRIBE, Action.MAP_UID):
        changed = values.changed(FALLBACK[tag], tag, vr, element, walk)
    return changed


def _sequence(
    dataset: Dataset, tag: int, action: Action | None, walk: Walk, depth: int
) -> Element | None:
    if depth >= DEPTH_MAX:
        return None
    element = dataset[tag]
    if action is Action.EMPTY:
        return type(element)(element.tag, "SQ", Sequence())
    if element.VR != "SQ" or element.value is None:
        return None
    encodings = walk.encodings
    for item in element.value:
        _clean(item, walk, depth + 1)
        walk.encodings = encodings
    return element


def _vr(tag: int, element: Element) -> str | None:
    """Return the value representation; None for an element the dictionary does not know."""
    vr = element.VR
    if vr is None or vr == "UN":
        try:
            return dictionary_VR(tag)
        except KeyError:
            return None
    return str(vr)
