"""The notes part: a summary and mentions, each pointing to its place in a note.

The de-identified text travels as a Binary; a source span counts Unicode code points of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import codes
from services.reporting.codes import COMPONENTS
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import (
    Json,
    compound,
    extension,
    placeholder,
    reference,
    text,
)
from services.reporting.words import TAGS, say, why

ENTITIES = "urn:dxmesh:note-entity"
HPO = "http://human-phenotype-ontology.org"
_ENTITY_CODES = {
    pb.ENTITY_KIND_PROBLEM: "problem",
    pb.ENTITY_KIND_MEDICATION: "medication",
    pb.ENTITY_KIND_ALLERGY: "allergy",
}
_CERTAINTY_CODES = {
    pb.CERTAINTY_AFFIRMED: "affirmed",
    pb.CERTAINTY_NEGATED: "negated",
    pb.CERTAINTY_UNCERTAIN: "uncertain",
}
FLAGS = ("other-person", "historical", "planned", "conditional", "resolved")
"""Components that are there where they are true, after the fields of the same names."""


def compose(draft: Draft, part: Part, found: pb.NoteFindings) -> Topic:
    """Return documents, summary and mentions of a notes part."""
    topic = Topic()
    documents: dict[str, Json] = {}
    for note in found.notes:
        if note.HasField("refusal"):
            facts = {"note": note.note_id, "why": why(draft.language, note.refusal)}
            topic.conclusion.append(say(draft.language, "note-not-read", **facts))
        if note.text:
            documents[note.note_id] = _document(draft, part, note, topic)
    if found.summary:
        topic.add(_summary(draft, part, found, documents))
        sentences = " ".join(text(each.text) for each in found.summary)
        line = say(draft.language, "summary-line", sentences=sentences)
        topic.conclusion.insert(0, line)
    else:
        topic.conclusion.append(say(draft.language, "no-summary"))
    for entity in found.entities:
        topic.add(_entity(draft, part, entity, documents))
    return topic


def _document(draft: Draft, part: Part, note: pb.NoteText, topic: Topic) -> Json:
    content = note.text.encode()
    binary_id = draft.id(part.part_id, "text", note.note_id)
    kind = "text/plain; charset=utf-8"
    binary: Json = {"resourceType": "Binary", "id": binary_id, "contentType": kind}
    binary["data"] = base64.b64encode(content).decode()
    document: Json = {
        "resourceType": "DocumentReference",
        "id": draft.id(part.part_id, "note", note.note_id),
        "status": "current",
        "type": codes.concept("code-notes"),
        "subject": draft.patient,
        "description": say(draft.language, "note-title", note=note.note_id),
        "content": [
            {
                "attachment": {
                    "contentType": kind,
                    "language": TAGS["zh"] if note.language == "zh" else TAGS["en"],
                    "url": f"Binary/{binary_id}",
                    "size": len(content),
                    # R4 Attachment.hash is SHA-1 by definition.
                    "hash": base64.b64encode(
                        hashlib.sha1(content, usedforsecurity=False).digest()
                    ).decode(),
                }
            }
        ],
        "context": {"related": [placeholder("DocumentReference", note.note_id)]},
    }
    topic.documents += [document, binary]
    return document


def _summary(draft: Draft, part: Part, found: pb.NoteFindings, documents: dict[str, Json]) -> Json:
    observation = draft.observation(part, "summary", "category-exam", review=True)
    named = say(draft.language, "summary-name")
    observation["code"] = {
        "coding": [{"system": ENTITIES, "code": "summary"}],
        "text": named,
    }
    observation["valueString"] = " ".join(text(each.text) for each in found.summary)
    observation["component"] = [
        {
            "code": _section(draft, sentence.section),
            "valueString": text(sentence.text),
            "extension": _spans(sentence.sources, documents),
        }
        for sentence in found.summary
    ]
    spans = [span for sentence in found.summary for span in sentence.sources]
    return observation | _derived(spans, documents)


def _entity(draft: Draft, part: Part, entity: pb.Entity, documents: dict[str, Json]) -> Json:
    language = draft.language
    kind = _ENTITY_CODES.get(entity.kind, "problem")
    observation = draft.observation(part, entity.entity_id, "category-exam")
    observation["code"] = {
        "coding": [{"system": ENTITIES, "code": kind}],
        "text": say(language, f"entity-{entity.kind or pb.ENTITY_KIND_PROBLEM}"),
    }
    own = text(entity.display_zh if language == "zh" else entity.display_en)
    value: Json = {"text": own or text(entity.text)}
    if entity.code.startswith("HP:"):
        value["coding"] = [{"system": HPO, "code": entity.code}]
    observation["valueCodeableConcept"] = value
    components = [_section_component(draft, entity)]
    if entity.certainty:
        code = _CERTAINTY_CODES[entity.certainty]
        value = {
            "coding": [{"system": f"{ENTITIES}-certainty", "code": code}],
            "text": say(language, _said(entity)),
        }
        components.append(_own(draft, "assertion", {"valueCodeableConcept": value}))
    if entity.dose:
        components.append(_own(draft, "dose", {"valueString": text(entity.dose)}))
    for code in FLAGS:
        if getattr(entity, code.replace("-", "_")):
            components.append(_own(draft, code, {"valueBoolean": True}))
    observation["component"] = components
    observation["extension"] = _spans([entity.span], documents)
    return observation | _derived([entity.span], documents)


def _said(entity: pb.Entity) -> str:
    """Return the words for what is said of a mention: what is planned is not "suspected"."""
    named = (code for code in ("planned", "conditional", "resolved") if getattr(entity, code))
    return next((f"certainty-{code}" for code in named), f"certainty-{entity.certainty}")


def _section_component(draft: Draft, entity: pb.Entity) -> Json:
    name = _section(draft, entity.section)
    return {
        "code": {"coding": [{"system": COMPONENTS, "code": "section"}], "text": name["text"]},
        "valueCodeableConcept": name,
    }


def _own(draft: Draft, code: str, value: Json) -> Json:
    name = say(draft.language, f"name-{code}")
    return {"code": {"coding": [{"system": COMPONENTS, "code": code}], "text": name}} | value


def _section(draft: Draft, section: int) -> Json:
    name = say(draft.language, f"section-{section}")
    coded = pb.SECTION_UNSPECIFIED < section < pb.SECTION_OTHER
    return codes.concept(f"section-{section}", name) if coded else {"text": name}


def _spans(spans: Iterable[pb.Span], documents: dict[str, Json]) -> list[Json]:
    """Where it stands in the notes: half-open ranges of Unicode code points."""
    return [
        compound(
            "source-span",
            extension("document", valueReference=reference(documents[span.note_id])),
            extension("start", valueInteger=span.start),
            extension("end", valueInteger=span.end),
        )
        for span in spans
        if span.note_id in documents
    ]


def _derived(spans: Iterable[pb.Span], documents: dict[str, Json]) -> Json:
    used = dict.fromkeys(span.note_id for span in spans if span.note_id in documents)
    return {"derivedFrom": [reference(documents[note]) for note in used]} if used else {}
