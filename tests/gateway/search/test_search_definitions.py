"""Every official search parameter compiles, and every official example is found by its values."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from services.gateway.fhir.search import forms
from services.gateway.fhir.search.compartments import members
from services.gateway.fhir.search.criteria import Criterion
from services.gateway.fhir.search.definitions import TYPES, Definition, parameters
from services.gateway.fhir.search.expressions import NotSupported, compile_expression
from services.gateway.fhir.search.extract import index_of, values_of
from services.gateway.fhir.search.match import matches
from services.gateway.fhir.search.measures import Measure
from services.gateway.fhir.search.narrow import (
    All,
    Either,
    Filter,
    Not,
    Ranges,
    Terms,
    narrowed,
)
from services.gateway.fhir.search.query import parse
from services.gateway.fhir.search.ranges import Range
from services.gateway.fhir.search.values import Pointer, Token
from services.kernel.errors import TooLarge

NAMED = [
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Encounter",
    "ServiceRequest",
    "Task",
    "Consent",
    "ImagingStudy",
    "Media",
    "BodyStructure",
    "Specimen",
    "Observation",
    "DiagnosticReport",
    "RiskAssessment",
    "DetectedIssue",
    "Condition",
    "AllergyIntolerance",
    "MedicationStatement",
    "DocumentReference",
    "Composition",
    "Binary",
    "Device",
    "Provenance",
    "AuditEvent",
    "Communication",
    "Flag",
    "Subscription",
    "Endpoint",
    "Group",
    "QuestionnaireResponse",
]
"""What the gateway promises full search of."""


@pytest.mark.requirement("DX-SEA-02")
@pytest.mark.parametrize("kind", NAMED)
def test_every_official_parameter_of_a_type_compiles(kind: str) -> None:
    known = parameters(kind)
    assert {"_id", "_lastUpdated", "_profile", "_security", "_tag", "_source"} <= set(known)
    for definition in known.values():
        assert definition.paths, definition.code
        for component in definition.components:
            for path in definition.paths:
                end = path.steps[-1].keys[0][1] if path.steps else path.kind
                assert compile_expression(component.expression, end)


def test_every_type_of_r4_has_its_parameters() -> None:
    assert len(TYPES) == 145
    assert sum(len(parameters(kind)) for kind in TYPES) > 2_000
    assert all(d.paths for kind in TYPES for d in parameters(kind).values())
    assert parameters("Colour") == {}


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.colour",
        "Patient.name.first()",
        "Patient.name.where(use = given)",
        "Patient.name as",
    ],
)
def test_an_expression_that_is_not_known_is_refused_at_once(expression: str) -> None:
    with pytest.raises(NotSupported):
        compile_expression(expression, "Patient")


SAMPLES = {
    "string": "x",
    "token": "urn:x|1",
    "reference": "http://x/Patient/1",
    "date": "ge2013",
    "number": "5",
    "quantity": "5||mg",
    "uri": "http://x",
}


@pytest.mark.requirement("DX-SEA-02")
def test_every_parameter_of_every_type_can_be_asked_for() -> None:
    for kind in sorted(TYPES):
        for definition in parameters(kind).values():
            parts = [SAMPLES[part.definition.kind] for part in definition.components]
            text = "$".join(parts) if parts else SAMPLES[definition.kind]
            query = parse(kind, [(definition.code, text)])
            (criterion,) = query.criteria
            assert isinstance(criterion, Criterion)
            narrowed(criterion)
            assert not matches(query, {"resourceType": kind})
    assert parse("Location", [("near", "1|2")]).unknown


def test_compartments_name_their_members() -> None:
    assert {"Patient", "Observation", "Condition", "ImagingStudy"} <= members("Patient")
    assert "Organization" not in members("Patient")


def escaped(text: str) -> str:
    for mark in ("\\", ",", "$", "|"):
        text = text.replace(mark, f"\\{mark}")
    return text


def questions(definition: Definition, value: Any) -> list[tuple[str, str]]:
    """Return searches that must find a resource with this value."""
    code = definition.code
    if isinstance(value, Token):
        plain, system = escaped(value.code), escaped(value.system)
        found = [(code, plain), (code, f"{system}|{plain}")] if value.code else []
        found += [(code, f"{system}|")] if value.system else []
        found += [(f"{code}:text", escaped(text)) for text in value.texts if text.strip()]
        if value.code:
            found += [
                (f"{code}:of-type", f"{escaped(s)}|{escaped(c)}|{plain}")
                for s, c in value.types
                if s
            ]
        return found
    if isinstance(value, Pointer):
        found = [(code, value.url)] if value.url else []
        if value.local and value.kind in definition.targets:
            found += [(f"{code}:{value.kind}", value.id)]
        if value.identifier and value.identifier.code:
            found += [(f"{code}:identifier", escaped(value.identifier.code))]
        return found
    if isinstance(value, Range | Measure):
        return []
    if definition.kind == "uri":
        return [(code, escaped(value)), (f"{code}:below", escaped(value))]
    text = escaped(value)
    return [
        (code, text),
        (f"{code}:exact", text),
        (f"{code}:contains", escaped(value[1:-1].strip())),
    ]


def passes(found: Filter, index: Any) -> bool:
    """Decide a filter on an index in memory, as the database does."""
    if isinstance(found, Terms):
        return any(term in index.terms for term in found.any_of)
    if isinstance(found, Ranges):
        return any(
            term == found.term and bounds.hold(Range(low, high))
            for term, low, high in index.ranges
            for bounds in found.any_of
        )
    if isinstance(found, All):
        return all(passes(part, index) for part in found.parts)
    if isinstance(found, Either):
        return any(passes(part, index) for part in found.parts)
    assert isinstance(found, Not)
    return not passes(found.part, index)


@pytest.mark.requirement("DX-SEA-02")
def test_official_examples_are_indexed_and_found_by_their_own_values(
    examples: list[dict[str, Any]],
) -> None:
    asked: Counter[str] = Counter()
    for resource in examples:
        kind = resource["resourceType"]
        index = index_of(resource)
        assert (kind, "_id", f"c{resource['id']}") in index.terms
        for definition in parameters(kind).values():
            if definition.kind == "composite":
                continue
            found = values_of(definition, resource)
            present = (kind, definition.code, forms.PRESENT) in index.terms
            assert present == bool(found), definition.code
            for value in found:
                for name, text in questions(definition, value):
                    if not text or len(text) > 4000 or len(text.split("|")[-1]) > 250:
                        continue
                    query = parse(kind, [(name, text)])
                    assert matches(query, resource), (resource["id"], name, text)
                    for criterion in query.criteria:
                        assert isinstance(criterion, Criterion)
                        assert passes(narrowed(criterion).filter, index), (name, text)
                    asked[definition.kind] += 1
    assert sum(asked.values()) > 10_000
    assert set(asked) == {"string", "token", "reference", "uri"}


@pytest.mark.requirement("DX-SEA-09")
def test_a_resource_of_very_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = {"resourceType": "Patient", "name": [{"family": f"{n} family"} for n in range(90)]}
    assert len(index_of(patient).terms) > 1_000
    monkeypatch.setattr("services.gateway.fhir.search.extract.ROWS_MAX", 1_000)
    with pytest.raises(TooLarge):
        index_of(patient)
