"""What was read of a patient's chart, and how it is shown to choose from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.gateway.fhir.submission import concept_text

Json = Mapping[str, Any]

READ, CUT, NOT_GRANTED, FAILED = "read", "cut", "not-granted", "failed"
DEAD = frozenset({"entered-in-error", "cancelled", "revoked", "superseded"})
TEXT_TYPES = frozenset(
    {
        *("text/plain", "text/html", "application/xhtml+xml", ""),
        *("text/xml", "application/xml", "application/hl7-cda+xml", "application/cda+xml"),
        *("application/rtf", "text/rtf", "text/richtext", "application/x-rtf"),
    }
)
"""Content types of notes that are analysed (docs/guides/submitting.md)."""


@dataclass(frozen=True, slots=True)
class Part:
    """The resources of one type."""

    kind: str
    state: str
    """read; cut: there are more than we take; not-granted; failed: `reason` says why."""
    reason: str = ""
    resources: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that was read for a launch."""

    patient: Json
    parts: Mapping[str, Part]
    endpoints: Mapping[str, Json] = field(default_factory=dict)
    """"Endpoint/id" → Endpoint, of the imaging studies."""

    def of(self, kind: str) -> Sequence[Json]:
        """Return the resources of a type that are not cancelled or in error."""
        part = self.parts.get(kind)
        return [r for r in part.resources if r.get("status") not in DEAD] if part else []

    @property
    def gaps(self) -> list[Part]:
        """Return the parts that are not, or not wholly, there."""
        return [part for part in self.parts.values() if part.state != READ]


@dataclass(frozen=True, slots=True)
class Item:
    """One resource as the page shows it."""

    reference: str
    title: str
    detail: str
    date: str
    usable: bool = True
    reason: str = ""
    """Why it cannot be chosen, or what to know of it."""


def orders(chart: Chart) -> list[Item]:
    """Return the orders, newest first."""
    return _newest(
        Item(
            _reference(r),
            concept_text(r.get("code", {})) or _code(r.get("code", {})),
            str(r.get("priority", "")),
            str(r.get("authoredOn", "")),
        )
        for r in chart.of("ServiceRequest")
    )


def results(chart: Chart) -> list[Item]:
    """Return the laboratory results, newest first."""
    return _newest(
        Item(
            _reference(r),
            concept_text(r.get("code", {})) or _code(r.get("code", {})),
            _value(r),
            str(r.get("effectiveDateTime") or r.get("issued") or ""),
        )
        for r in chart.of("Observation")
    )


def notes(chart: Chart) -> list[Item]:
    """Return the notes, newest first; what is no text cannot be chosen."""
    found: list[Item] = []
    for r in chart.of("DocumentReference"):
        kinds = [_media_type(c.get("attachment", {})) for c in r.get("content", [])]
        usable = any(kind in TEXT_TYPES for kind in kinds)
        title = str(r.get("description") or concept_text(r.get("type", {})) or "")
        reason = "" if usable else "NOTE_NOT_TEXT"
        detail = ", ".join(kind for kind in kinds if kind)
        found.append(Item(_reference(r), title, detail, str(r.get("date", "")), usable, reason))
    return _newest(found)


def studies(chart: Chart, retrievable: Mapping[str, str]) -> list[Item]:
    """Return the imaging studies, newest first.

    Parameters
    ----------
    retrievable : "ImagingStudy/id" → address of the WADO-RS service its images come from
    """
    found: list[Item] = []
    for r in chart.of("ImagingStudy"):
        uid, reference = study_uid(r), _reference(r)
        reason = "STUDY_NOT_NAMED" if not uid else ""
        if uid and reference not in retrievable:
            reason = "IMAGES_BY_STOW"
        modalities = {str(m.get("code", "")) for m in r.get("modality", [])}
        modalities |= {str(s.get("modality", {}).get("code", "")) for s in r.get("series", [])}
        count = r.get("numberOfInstances", "")
        detail = f"{' '.join(sorted(modalities - {''}))} {count}".strip()
        title = str(r.get("description") or _procedure(r) or uid)
        found.append(Item(reference, title, detail, str(r.get("started", "")), bool(uid), reason))
    return _newest(found)


def consents(chart: Chart) -> list[Item]:
    """Return every consent, also those that do not stand: a withdrawal counts."""
    part = chart.parts.get("Consent")
    found: list[Item] = []
    for r in part.resources if part else ():
        provision = r.get("provision", {})
        period = provision.get("period", {})
        purposes = [str(p.get("code", "")) for p in provision.get("purpose", [])]
        span = f"{period.get('start', '')}–{period.get('end', '')}" if period else ""
        policy = _code(r.get("policyRule", {}))
        words = [str(provision.get("type", "")), policy, " ".join(purposes), span]
        detail = " · ".join(word for word in words if word)
        active = r.get("status") == "active"
        found.append(
            Item(
                _reference(r),
                concept_text(r.get("scope", {})) or _code(r.get("scope", {})),
                detail,
                str(r.get("dateTime", "")),
                active,
                "" if active else str(r.get("status", "")),
            )
        )
    return _newest(found)


def is_about(resource: Json, issuer: str, patient_id: str) -> bool:
    """Tell whether a resource says that it is about the patient, or says nothing.

    A server that does not understand a search parameter may answer with everybody's.
    """
    about = resource.get("subject") or resource.get("patient") or {}
    reference = str(about.get("reference", "")).partition("/_history/")[0]
    wanted = f"Patient/{patient_id}"
    return not reference or reference in (wanted, f"{issuer}/{wanted}")


def study_uid(study: Json) -> str:
    """Return the Study Instance UID of an ImagingStudy; empty when it has none."""
    for identifier in study.get("identifier", []):
        value = str(identifier.get("value", ""))
        if identifier.get("system") == "urn:dicom:uid" and value.startswith("urn:oid:"):
            return value.removeprefix("urn:oid:")
    return ""


def _newest(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.date, reverse=True)


def _reference(resource: Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _code(concept: Json) -> str:
    return next((str(c["code"]) for c in concept.get("coding", []) if c.get("code")), "")


def _procedure(study: Json) -> str:
    return next((t for c in study.get("procedureCode", []) if (t := concept_text(c))), "")


def _media_type(attachment: Json) -> str:
    return str(attachment.get("contentType") or "").partition(";")[0].strip().lower()


def _value(observation: Json) -> str:
    if quantity := observation.get("valueQuantity"):
        number = quantity.get("value", "")
        unit = quantity.get("unit", quantity.get("code", ""))
        text = f"{quantity.get('comparator', '')}{getattr(number, 'written', number)} {unit}"
        return text.strip()
    if concept := observation.get("valueCodeableConcept"):
        return concept_text(concept) or _code(concept)
    if "valueString" in observation:
        return str(observation["valueString"])[:120]
    parts = [c for c in observation.get("component", []) if "valueQuantity" in c]
    return "; ".join(f"{concept_text(c.get('code', {}))} {_value(c)}".strip() for c in parts[:6])
