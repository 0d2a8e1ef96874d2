"""Putting identity back into a pseudonymous report. Pure.

The analysis zone knows a pseudonym, shifted dates and remapped UIDs. Here the Bundle gets
the Patient, the order and the studies as they were submitted, the true dates, and the
references and UIDs of the hospital. Times at which the mesh itself acted (`issued`,
`recorded`) were never shifted and stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services.kernel.errors import InvalidInput

Json = Any

PATIENT_TIMES = frozenset(
    {
        "effectiveDateTime",
        "effectiveInstant",
        "effectivePeriod",
        "createdDateTime",
        "createdPeriod",
        "started",
        "occurrenceDateTime",
        "identifiedDateTime",
    }
)
"""Elements that hold a time of the patient's care: these were shifted."""
WORDS = frozenset({"conclusion", "valueString"})
"""Elements in words: of a report's conclusion, and of what an Observation says."""
MESH_TIMES = frozenset({"Provenance", "Task"})
"""Resource types whose times are the mesh's own throughout."""

PLACEHOLDERS = frozenset({"Observation", "DocumentReference", "ServiceRequest", "ImagingStudy"})
"""Types that the analysis zone names by an identifier of its own (see docs/report.md)."""

SOURCES = "urn:dxmesh:source"
"""Identifier system of a placeholder that means nothing outside the analysis zone."""
UNRESOLVED: dict[str, Json] = {}

_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T.*)?", re.DOTALL)
_WRITTEN_DAY = re.compile(
    r"(?<![\d.-])((?:19|20)\d{2})(?:(-)(\d{2})(-)(\d{2})|(年)(\d{1,2})(月)(\d{1,2})(?=日))(?![\d-])"
)

_WRITTEN_MONTH = re.compile(
    r"(?<![\d./-])((?:19|20)\d{2})(?:(-)(0[1-9]|1[0-2])(?![\d/-])|(年)(\d{1,2})(?=月(?!\s*\d)))"
)
DAYS_A_MONTH = 30.4375
"""As `anonymization.text.days` has it: a month was moved by whole months."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What anonymization tells of a case; see `ReidentifyResponse`."""

    patient: Mapping[str, Json]
    service_request: Mapping[str, Json]
    imaging_studies: Sequence[Mapping[str, Json]]
    days: int
    """Days to add to a shifted date to get the true one."""
    uids: Mapping[str, str]
    references: Mapping[str, str]
    time_shift_s: int = 0
    """Seconds by which DICOM times of day stand late; 0: not known."""
    confidentiality: str = ""
    """Strictest label, R or V, of what was analysed; empty: none."""


def restore(bundle: Mapping[str, Json], identity: Identity) -> dict[str, Json]:
    """Return the Bundle with identity: patient, order and studies are entries of it too.

    Raises
    ------
    InvalidInput
        The patient has no id, so nothing could refer to it.
    """
    if not identity.patient.get("id"):
        raise InvalidInput("the submitted Patient has no id", reason="PATIENT_WITHOUT_ID")
    restorer = _Restorer(identity)
    entries = [
        {**entry, "resource": restorer.resource(entry["resource"])}
        for entry in bundle.get("entry", [])
        if entry["resource"]["resourceType"] not in ("Patient", "ServiceRequest", "ImagingStudy")
    ]
    entries += [
        {"resource": dict(resource)}
        for resource in (identity.patient, identity.service_request, *identity.imaging_studies)
        if resource.get("id")
    ]
    return {**bundle, "entry": entries}


class _Restorer:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._fixed = {
            "Patient": _reference(identity.patient),
            "ServiceRequest": _reference(identity.service_request),
        }
        self._studies = {
            identifier["value"]: _reference(study)
            for study in identity.imaging_studies
            for identifier in study.get("identifier", [])
            if identifier.get("value")
        }

    def resource(self, resource: Mapping[str, Json]) -> dict[str, Json]:
        return self._members(str(resource["resourceType"]), resource)

    def _members(self, kind: str, value: Mapping[str, Json]) -> dict[str, Json]:
        """Return an object's members restored; what nothing is left of is left out."""
        restored = {name: self._value(kind, name, item) for name, item in value.items()}
        return {name: item for name, item in restored.items() if item not in (UNRESOLVED, [])}

    def _value(self, kind: str, name: str, value: Json) -> Json:
        if isinstance(value, Mapping):
            return self._object(kind, name, value)
        if isinstance(value, list):
            restored = [self._value(kind, name, item) for item in value]
            return [item for item in restored if item != UNRESOLVED]
        if isinstance(value, str):
            if name in PATIENT_TIMES and kind not in MESH_TIMES:
                return to_true_date(value, self._identity.days)
            if name in WORDS and kind in ("DiagnosticReport", "Observation"):
                return in_words(value, self._identity.days)
            return self._uid(value)
        return value

    def _object(self, kind: str, name: str, value: Mapping[str, Json]) -> Json:
        if isinstance(value.get("reference"), str):
            return self._literal(value)
        if isinstance(value.get("identifier"), Mapping) and str(value.get("type")) in PLACEHOLDERS:
            return self._logical(value)
        if name in PATIENT_TIMES and kind not in MESH_TIMES:  # a Period
            days = self._identity.days
            return {k: to_true_date(v, days) if isinstance(v, str) else v for k, v in value.items()}
        return self._members(kind, value)

    def _literal(self, value: Mapping[str, Json]) -> dict[str, Json]:
        """Return a reference with its target's true name; one within the report stays."""
        reference = str(value["reference"])
        new = self._fixed.get(reference.partition("/")[0]) or self._submitted(reference)
        return {**value, "reference": new or reference}

    def _logical(self, value: Mapping[str, Json]) -> dict[str, Json]:
        """Return a reference in place of the analysis zone's placeholder; {} when unresolved.

        A study that was not submitted as an ImagingStudy keeps an identifier: its true UID.
        """
        kind, identifier = str(value["type"]), value["identifier"]
        true = self._uid(str(identifier.get("value", "")))
        found = {
            "ServiceRequest": self._fixed["ServiceRequest"],
            "ImagingStudy": self._studies.get(true, ""),
        }.get(kind) or self._submitted(str(identifier.get("value", "")))
        if found:
            return {"reference": found, "type": kind}
        if identifier.get("system") == SOURCES:
            return UNRESOLVED
        return {"type": kind, "identifier": {**identifier, "value": true}}

    def _submitted(self, name: str) -> str:
        known = self._identity.references
        return known.get(name) or known.get(name.rpartition("/")[2]) or ""

    def _uid(self, text: str) -> str:
        prefix = "urn:oid:" if text.startswith("urn:oid:") else ""
        found = self._identity.uids.get(text.removeprefix(prefix))
        return f"{prefix}{found}" if found else text


def to_true_date(text: str, days: int) -> str:
    """Return a FHIR date, dateTime or instant moved by whole days; time and zone stay.

    A year or a month alone is returned as it came: it was never shifted by days.
    """
    found = _DAY.fullmatch(text)
    if not found:
        return text
    try:
        moved = date.fromisoformat(found[1]) + timedelta(days=days)
    except (ValueError, OverflowError):
        return text
    return moved.isoformat() + (found[2] or "")


def in_words(text: str, days: int) -> str:
    """Return a sentence with each full date in it moved by whole days, each month by months.

    Every date that the analysis zone can write of a patient's care came shifted but a year alone.
    """
    months = round(days / DAYS_A_MONTH)
    told = _WRITTEN_MONTH.sub(lambda found: _month_moved(found, months), text)
    return _WRITTEN_DAY.sub(lambda found: _moved(found, days), told)


def _month_moved(found: re.Match[str], months: int) -> str:
    year, between, month = (each for each in found.groups() if each is not None)
    if not 1 <= int(month) <= 12:
        return found[0]
    true_year, true_month = divmod(int(year) * 12 + int(month) - 1 + months, 12)
    width = 2 if between == "-" else 1
    return f"{true_year:04}{between}{true_month + 1:0{width}}"


def _moved(found: re.Match[str], days: int) -> str:
    year, between, month, behind, day = (each for each in found.groups() if each is not None)
    try:
        true = date(int(year), int(month), int(day)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return found[0]
    width = 2 if between == "-" else 1
    return f"{true.year:04}{between}{true.month:0{width}}{behind}{true.day:0{width}}"


def _reference(resource: Mapping[str, Json]) -> str:
    return f"{resource['resourceType']}/{resource['id']}" if resource.get("id") else ""
