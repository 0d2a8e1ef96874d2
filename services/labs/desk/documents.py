"""Files of results as a labs part: FHIR JSON of any of the usual shapes.

A Bundle, a DiagnosticReport with contained results, single Observations, a list of them, or a
labs part itself. What other services convert to these (HL7 v2, CSV) is read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from services.kernel.errors import InvalidInput
from services.labs import panel
from services.labs.lenient import list_of, mapping_of, text_of
from services.labs.panel import LabPart

RESOURCES_MAX = 20_000
DAYS_A_YEAR = 365.25


def part_of(document: object, stated: Mapping[str, Any]) -> LabPart:
    """Return the labs part in a document; what is stated of the person goes before its Patient.

    Raises
    ------
    InvalidInput
        It holds no Observation.
    """
    if isinstance(document, Mapping) and isinstance(document.get("observations"), list):
        subject: dict[str, Any] = dict(mapping_of(document.get("subject")))
        subject.update(stated)
        made: dict[str, Any] = dict(document)
        made["subject"] = subject
        return panel.of_document(made)
    resources = list(_resources(document))
    observations = [r for r in resources if r.get("resourceType") == "Observation"]
    if not observations:
        raise InvalidInput("the file holds no Observation", reason="NOT_A_LABS_PART")
    specimens = dict(_specimens(document, resources))
    observations = [_with_specimen(each, specimens) for each in observations]
    found: dict[str, Any] = {}
    for resource in resources:
        if resource.get("resourceType") == "Patient":
            found = _person(resource, observations)
    found.update(stated)
    return panel.of_document({"subject": found, "observations": observations})


def _resources(document: object) -> Iterator[Mapping[str, Any]]:
    """Yield resources, those of a Bundle and contained ones of a report included."""
    nodes = document if isinstance(document, list) else [document]
    for number, node in enumerate(nodes):
        if number >= RESOURCES_MAX:
            raise InvalidInput(f"at most {RESOURCES_MAX} resources are read", reason="TOO_LARGE")
        resource = mapping_of(node)
        if resource.get("resourceType") == "Bundle":
            entries = [mapping_of(each) for each in list_of(resource.get("entry"))]
            yield from _resources([each.get("resource") for each in entries[:RESOURCES_MAX]])
            continue
        yield resource
        if resource.get("resourceType") == "DiagnosticReport":
            yield from map(mapping_of, list_of(resource.get("contained")))


def _specimens(document: object, resources: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what specimens are called, by each reference that may point to them."""
    entries = list_of(mapping_of(document).get("entry"))
    urls = {
        id(entry["resource"]): text_of(entry.get("fullUrl"))
        for entry in map(mapping_of, entries)
        if isinstance(entry.get("resource"), Mapping)
    }
    for each in resources:
        if each.get("resourceType") != "Specimen":
            continue
        concept = mapping_of(each.get("type"))
        codings = [mapping_of(coding) for coding in list_of(concept.get("coding"))]
        names = [text_of(concept.get("text")), *(text_of(c.get("display")) for c in codings)]
        names += [text_of(c.get("code")) for c in codings]
        name = next((name for name in names if name), "")
        for reference in (f"Specimen/{text_of(each.get('id'))}", urls.get(id(each), "")):
            if name and reference:
                yield reference, name


def _with_specimen(
    observation: Mapping[str, Any], specimens: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return an Observation that says what its specimen is called, where the Bundle does."""
    stated = mapping_of(observation.get("specimen"))
    name = specimens.get(text_of(stated.get("reference")))
    if not name or stated.get("display"):
        return observation
    made = dict(observation)
    made["specimen"] = {"display": name}
    return made


def _person(patient: Mapping[str, Any], observations: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return sex and age; the age is that at the newest result that is dated."""
    found: dict[str, Any] = {"sex": text_of(patient.get("gender"))}
    dated = [text_of(each.get("effectiveDateTime"))[:10] for each in observations]
    born, at = text_of(patient.get("birthDate")), max(dated, default="")
    try:
        days = (date.fromisoformat(at) - date.fromisoformat(born)).days
    except ValueError:
        return found
    if days >= 0:
        found |= {"age_years": int(days / DAYS_A_YEAR), "age_days": days}
    return found
