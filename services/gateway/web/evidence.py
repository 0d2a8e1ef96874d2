"""What a statement of the report rests on: results, places in notes, and what opposes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.web.laboratory import value_of
from services.gateway.web.notes import SPAN, Span, span_of

Json = Mapping[str, Any]
_COMPONENTS = "urn:dxmesh:observation-component"
_EVIDENCE = "urn:dxmesh:fhir:StructureDefinition:evidence"
KINDS = ("red-flag", "supports", "opposes")
RESTS = "rests"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece of evidence of a statement."""

    kind: str
    """red-flag, supports, opposes; rests: a result that the statement rests on."""
    text: str
    results: tuple[tuple[str, str], ...]
    """Ids of Observations, and what they say in short."""
    number: int = 0
    """What the marks of its places in the notes are numbered by; 0: it has none."""


def evidence_of(
    observation: Json, by_id: Mapping[str, Json], number: int
) -> Iterator[tuple[Evidence, list[Span]]]:
    """Yield each piece of evidence, and its places; those with places are numbered from `number`.

    What several features rest on is shown once, as a red flag where it is one: they come first.
    A statement whose components say nothing of evidence rests on what it is derived from.
    """
    told: set[tuple[object, ...]] = set()
    for component in observation.get("component", []):
        kinds = [
            str(coding.get("code"))
            for coding in component.get("code", {}).get("coding", [])
            if coding.get("system") == _COMPONENTS
        ]
        if not kinds or kinds[0] not in KINDS:
            continue
        extensions = component.get("extension", [])
        spans = [span_of(each, number) for each in extensions if each.get("url") == SPAN]
        references = [
            each["valueReference"]["reference"]
            for each in extensions
            if each.get("url") == _EVIDENCE
        ]
        results = tuple(_named(each, by_id) for each in references if each in by_id)
        text = str(component.get("valueString", ""))
        places = frozenset((span.document, span.start, span.end) for span in spans)
        same = (kinds[0] == "opposes", text, results, places)
        if same in told:
            continue
        told.add(same)
        yield Evidence(kinds[0], text, results, number if spans else 0), spans
        number += bool(spans)
    if told:
        return
    for each in observation.get("derivedFrom", []):
        reference = str(each.get("reference", ""))
        if reference in by_id:
            named = _named(reference, by_id)
            yield Evidence(RESTS, named[1], (named,)), []


def _named(reference: str, by_id: Mapping[str, Json]) -> tuple[str, str]:
    observation = by_id[reference]
    name = str(observation.get("code", {}).get("text", ""))
    value, unit = value_of(observation)
    concept = observation.get("valueCodeableConcept", {}).get("text", "")
    return str(observation.get("id", "")), " ".join(filter(None, (name, value, unit, concept)))
