"""The notes part: a summary, mentions and values, each pointing to its place in a note.

The de-identified text travels as a Binary; a source span counts Unicode code points of it.
"""

from __future__ import annotations

import base64
import hashlib

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import codes, family, mentions, note_values
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import Json, placeholder, text
from services.reporting.note_elements import ENTITIES, Documents, derived, section, spans
from services.reporting.words import TAGS, say, why


def compose(draft: Draft, part: Part, found: pb.NoteFindings) -> Topic:
    """Return documents, summary, mentions and stated values of a notes part."""
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
    made = {
        entity.entity_id: topic.add(mentions.compose(draft, part, entity, documents))
        for entity in (*found.entities, *found.procedures)
    }
    topic.statements += family.compose(draft, part, found.entities, made)
    for stated in found.measurements:
        topic.add(note_values.compose(draft, part, stated, documents))
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


def _summary(draft: Draft, part: Part, found: pb.NoteFindings, documents: Documents) -> Json:
    observation = draft.observation(part, "summary", "category-exam", review=True)
    named = say(draft.language, "summary-name")
    observation["code"] = {
        "coding": [{"system": ENTITIES, "code": "summary"}],
        "text": named,
    }
    observation["valueString"] = " ".join(text(each.text) for each in found.summary)
    observation["component"] = [
        {
            "code": section(draft, sentence.section),
            "valueString": text(sentence.text),
            "extension": spans(sentence.sources, documents),
        }
        for sentence in found.summary
    ]
    places = [span for sentence in found.summary for span in sentence.sources]
    return observation | derived(places, documents)
