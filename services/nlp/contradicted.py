"""Contradictions of a record as messages: in the findings, and at the end of the summary."""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.nlp import contradictions
from services.nlp.reading import Mention, Reading
from services.nlp.statements import Contradiction, Sort

SORTS = {sort: getattr(pb, f"CONTRADICTION_KIND_{sort.name}") for sort in Sort}


def add(
    message: pb.NoteFindings,
    readings: Sequence[Reading],
    mentions: Sequence[Mention],
    language: str,
) -> None:
    """Add the contradictions; `mentions` are those of `message.entities`, in their order."""
    ids = {id(mention): f"entity-{number}" for number, mention in enumerate(mentions, 1)}
    for number, each in enumerate(contradictions.find(readings), 1):
        spans = [pb.Span(note_id=p.note_id, start=p.start, end=p.end) for p in each.places]
        message.contradictions.append(_message(each, number, spans, ids))
        text = each.zh if language == "zh" else each.en
        message.summary.add(text=text, sources=spans, section=pb.SECTION_OTHER)


def _message(
    found: Contradiction, number: int, spans: Sequence[pb.Span], ids: dict[int, str]
) -> pb.Contradiction:
    mentions = [each.mention for each in found.places if each.mention]
    return pb.Contradiction(
        contradiction_id=f"contradiction-{number}",
        kind=SORTS[found.sort],
        text_en=found.en,
        text_zh=found.zh,
        spans=spans,
        entity_ids=[ids[id(mention)] for mention in mentions if id(mention) in ids],
    )
