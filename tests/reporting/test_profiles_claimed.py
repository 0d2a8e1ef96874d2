"""A report in which nothing was found claims the profile that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings

from services.gateway.profiles.conform import problems
from services.reporting.compose import compose
from services.reporting.draft import Draft, Kind
from services.reporting.words import Language

NONE_FOUND = "urn:dxmesh:fhir:StructureDefinition:none-found"


def test_nothing_found_is_a_statement_of_its_own(draft: Callable[[Language], Draft]) -> None:
    made = draft("en")
    part = next(p for p in made.parts if p.kind is Kind.IMAGING and p.findings)
    findings = ImagingFindings()
    assert isinstance(part.findings, ImagingFindings)
    findings.CopyFrom(part.findings)
    del findings.findings[:]
    del findings.key_images[:]
    bundle = compose(replace(made, parts=[replace(part, findings=findings)])).bundle
    [observation] = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    assert observation["meta"]["profile"] == [NONE_FOUND]
    assert problems(observation) == []
    observation["valueCodeableConcept"]["coding"][0]["code"] = "27925004"
    assert [v.path for v in problems(observation)] == ["Observation.value[x]"]
