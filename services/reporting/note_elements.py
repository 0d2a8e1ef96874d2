"""What summary, mentions and values of the notes have in common: codes, sections, places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import codes
from services.reporting.codes import COMPONENTS
from services.reporting.draft import Draft
from services.reporting.elements import Json, compound, extension, reference
from services.reporting.words import say

ENTITIES = "urn:dxmesh:note-entity"
"""Code system of what a note speaks of."""
Documents = Mapping[str, Json]
"""DocumentReferences of the notes, by note id."""


def section(draft: Draft, number: int) -> Json:
    """Return the concept of a section; one without a standard code has its name alone."""
    name = say(draft.language, f"section-{number}")
    coded = pb.SECTION_UNSPECIFIED < number < pb.SECTION_OTHER
    return codes.concept(f"section-{number}", name) if coded else {"text": name}


def in_section(draft: Draft, number: int) -> Json:
    """Return the component that names the section something stands in."""
    name = section(draft, number)
    return {
        "code": {"coding": [{"system": COMPONENTS, "code": "section"}], "text": name["text"]},
        "valueCodeableConcept": name,
    }


def component(draft: Draft, code: str, value: Json) -> Json:
    """Return a component with one of our codes."""
    name = say(draft.language, f"name-{code}")
    return {"code": {"coding": [{"system": COMPONENTS, "code": code}], "text": name}} | value


def spans(places: Iterable[pb.Span], documents: Documents) -> list[Json]:
    """Return where it stands in the notes: half-open ranges of Unicode code points."""
    return [
        compound(
            "source-span",
            extension("document", valueReference=reference(documents[span.note_id])),
            extension("start", valueInteger=span.start),
            extension("end", valueInteger=span.end),
        )
        for span in places
        if span.note_id in documents
    ]


def located(place: pb.Span, documents: Documents) -> Json:
    """Return the extension of something that stands in one place; none where the note is gone."""
    found = spans([place], documents)
    return {"extension": found} if found else {}


def derived(places: Iterable[pb.Span], documents: Documents) -> Json:
    """Return the notes that something is taken from."""
    used = dict.fromkeys(span.note_id for span in places if span.note_id in documents)
    return {"derivedFrom": [reference(documents[note]) for note in used]} if used else {}
