"""Values, and the details of mentions, as the message the report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.nlp.content import Measurement
from services.nlp.details import Detail, DetailKind
from services.nlp.headings import Section
from services.nlp.notes import Note
from services.nlp.reading import Mention, Reading

SECTIONS = {section: getattr(pb, f"SECTION_{section.name}") for section in Section}
DETAILS = {kind: getattr(pb, f"DETAIL_KIND_{kind.name}") for kind in DetailKind}


def add(found: pb.NoteFindings, readings: Sequence[Reading]) -> None:
    """Add the values to a message, and their details to its mentions, which are in order."""
    entities, procedures = iter(found.entities), iter(found.procedures)
    detailed = any(m.details for r in readings for m in (*r.mentions, *r.procedures))
    for reading in readings:
        note = reading.note
        if detailed:
            # The mentions first: zip asks them first, and so takes no entity of the next note.
            _add_details(note, zip(reading.mentions, entities, strict=False))
            _add_details(note, zip(reading.procedures, procedures, strict=False))
        for each in reading.measurements:
            number = len(found.measurements) + 1
            found.measurements.append(_measurement(note, each, number))


def _add_details(note: Note, pairs: Iterable[tuple[Mention, pb.Entity]]) -> None:
    for mention, entity in pairs:
        if mention.details:
            entity.details.extend(_detail(note, each) for each in mention.details)


def _detail(note: Note, each: Detail) -> pb.Detail:
    word = each.word
    return pb.Detail(
        kind=DETAILS[each.kind],
        text=note.text[each.start : each.end],
        span=pb.Span(note_id=note.note_id, start=each.start, end=each.end),
        display_en=word.en if word else "",
        display_zh=word.zh if word else "",
        code=word.code if word else "",
    )


def _measurement(note: Note, each: Measurement, number: int) -> pb.Measurement:
    value = each.value
    return pb.Measurement(
        measurement_id=f"measurement-{number}",
        text=note.text[value.start : value.end],
        span=pb.Span(note_id=note.note_id, start=value.start, end=value.end),
        section=SECTIONS[each.section],
        display_en=value.en,
        display_zh=value.zh,
        loinc=value.loinc,
        comparator=value.comparator,
        value=value.value,
        high=value.high,
        unit=value.unit,
        other_person=each.other_person,
        historical=each.historical,
        time=_detail(note, each.time) if each.time else None,
    )
