"""What the gateway keeps of a submission Bundle for the worklist. Pure.

Ingest alone checks the Bundle; by the time this is read it was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.fhir.names import written
from services.gateway.fhir.search import match
from services.gateway.store.resources import SENT

Json = Mapping[str, Any]


def label(bundle: Json) -> dict[str, Any]:
    """Return patient, order and what to call them, from an accepted Bundle."""
    patient = _first(bundle, "Patient")
    request = _first(bundle, "ServiceRequest")
    found: dict[str, Any] = {"patient": describe(patient)}
    if patient.get("id"):
        found["patient_reference"] = f"Patient/{patient['id']}"
    if request.get("id"):
        found["based_on"] = f"ServiceRequest/{request['id']}"
    found["order"] = concept_text(request.get("code", {}))
    if code := confidentiality(bundle):
        found["confidentiality"] = code
    if code or match.restricted(patient) or match.restricted(request):
        found["restricted"] = True  # until its resources are stored and say so themselves
    return found


def confidentiality(bundle: Json) -> str:
    """Return the strictest label, R or V, of what is analysed and not kept; empty: none.

    Results and notes are not stored as they came, so what is made of them must bear their label.
    Patient, order and studies are stored, and their labels count as they are at any time.
    """
    resources = [entry.get("resource", {}) for entry in bundle.get("entry", [])]
    analysed = [each for each in resources if each.get("resourceType") not in SENT]
    return match.strictest(label for each in analysed for label in match.labels(each))


def describe(patient: Json) -> dict[str, str]:
    """Return name, sex, birth date and first identifier of a Patient, as text."""
    names = [name for name in patient.get("name", []) if isinstance(name, Mapping)]
    identifiers = [i for i in patient.get("identifier", []) if isinstance(i, Mapping)]
    return {
        "name": next((text for text in map(written, names) if text), ""),
        "sex": str(patient.get("gender", "")),
        "birth_date": str(patient.get("birthDate", "")),
        "identifier": str(next((i["value"] for i in identifiers if i.get("value")), "")),
    }


def references(bundle: Json) -> list[str]:
    """Return every way the Bundle names its Patient: reference, identifiers, fullUrl."""
    found: list[str] = []
    for entry in bundle.get("entry", []):
        patient = entry.get("resource", {})
        if patient.get("resourceType") != "Patient":
            continue
        if patient.get("id"):
            found.append(f"Patient/{patient['id']}")
        found += identifiers(patient.get("identifier", []))
        break
    return found


def identifiers(values: list[Json]) -> list[str]:
    """Return identifiers as "system|value"."""
    return [f"{i.get('system', '')}|{i['value']}" for i in values if i.get("value")]


def _first(bundle: Json, kind: str) -> Json:
    for entry in bundle.get("entry", []):
        resource = entry.get("resource", {})
        if resource.get("resourceType") == kind:
            return dict(resource)
    return {}


def concept_text(concept: Json) -> str:
    """Return what a CodeableConcept is called; empty when nothing says."""
    if concept.get("text"):
        return str(concept["text"])
    for coding in concept.get("coding", []):
        if coding.get("display"):
            return str(coding["display"])
    return ""
