"""A notes part read, as the message the report is made from."""

from __future__ import annotations

from collections.abc import Iterable

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.nlp import contradicted, stated, summary
from services.nlp.context import Certainty
from services.nlp.headings import Section
from services.nlp.notes import Note, language_of
from services.nlp.reading import Mention, Reading, read
from services.nlp.terms import Kind

SECTIONS = {section: getattr(pb, f"SECTION_{section.name}") for section in Section}
KINDS = {kind: getattr(pb, f"ENTITY_KIND_{kind.name}") for kind in Kind}
CERTAINTIES = {each: getattr(pb, f"CERTAINTY_{each.name}") for each in Certainty}


def findings(notes: Iterable[Note], language: str) -> pb.NoteFindings:
    """Return every note with its sections, all mentions, and a summary in `language`."""
    readings = [read(note) for note in notes]
    mentions = [mention for reading in readings for mention in reading.mentions]
    done = [mention for reading in readings for mention in reading.procedures]
    found = pb.NoteFindings(
        notes=[_note(reading) for reading in readings],
        procedures=[_entity(mention, n, "procedure") for n, mention in enumerate(done, 1)],
        entities=[_entity(mention, number) for number, mention in enumerate(mentions, 1)],
        summary=[_sentence(each) for each in summary.summarize(readings, language)],
    )
    contradicted.add(found, readings, mentions, language)
    stated.add(found, readings)
    return found


def _note(reading: Reading) -> pb.NoteText:
    note = reading.note
    message = pb.NoteText(
        note_id=note.note_id,
        language=note.language,
        text=note.text,
        sections=[
            pb.SectionText(
                section=SECTIONS[each.section],
                heading=note.text[each.heading_start : each.heading_end],
                body=pb.Span(note_id=note.note_id, start=each.start, end=each.end),
                within=each.within,
                language=language_of(note.text[each.start : each.end]),
            )
            for each in reading.sections
        ],
    )
    if error := note.refusal:
        refusal = Refusal(reason=error.reason, message=error.message, facts=error.facts)
        message.refusal.CopyFrom(refusal)
    return message


def _entity(mention: Mention, number: int, name: str = "entity") -> pb.Entity:
    term = mention.term
    return pb.Entity(
        entity_id=f"{name}-{number}",
        kind=KINDS[mention.kind],
        text=mention.written,
        span=pb.Span(note_id=mention.note_id, start=mention.start, end=mention.end),
        section=SECTIONS[mention.section],
        certainty=CERTAINTIES[mention.said.certainty],
        other_person=mention.said.other_person,
        historical=mention.said.historical,
        planned=mention.said.planned,
        conditional=mention.said.hypothetical,
        resolved=mention.said.resolved,
        display_en=term.en if term else "",
        display_zh=term.zh if term else "",
        code=term.code if term else "",
        dose=mention.dose_written,
    )


def _sentence(sentence: summary.Sentence) -> pb.SummarySentence:
    return pb.SummarySentence(
        text=sentence.text,
        sources=[
            pb.Span(note_id=each.note_id, start=each.start, end=each.end)
            for each in sentence.sources
        ],
        section=SECTIONS[sentence.section],
    )
