"""A note read by itself, outside a mesh: what `dxmesh notes read` shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.kernel.errors import InvalidInput
from services.nlp.findings import findings
from services.nlp.notes import note_of

LANGUAGES = ("zh", "en")
FLAGS = ("other_person", "historical", "planned", "conditional", "resolved")


def answer(request: Any) -> dict[str, Any]:
    """Return sections, mentions and summary of `request["text"]`, offsets in code points.

    `language` is that of the summary; that of the note where it is not stated.

    Raises
    ------
    MeshError
        The text cannot be read, or the request is of another form.
    """
    asked = request if isinstance(request, Mapping) else {}
    note = note_of(asked.get("text"))
    if note.refusal:
        raise note.refusal
    language = asked.get("language") or note.language
    if language not in LANGUAGES:
        raise InvalidInput("the language of the summary is zh or en", reason="LANGUAGE_UNKNOWN")
    found = findings([note], language)
    return {
        "language": note.language,
        "sections": [_section(each) for each in found.notes[0].sections],
        "mentions": [_mention(each) for each in found.entities],
        "measurements": [_measurement(each) for each in found.measurements],
        "procedures": [_mention(each) for each in found.procedures],
        "summary": [
            {
                "text": each.text,
                "section": _section_name(each.section),
                "sources": [[span.start, span.end] for span in each.sources],
            }
            for each in found.summary
        ],
    }


def _section(section: pb.SectionText) -> dict[str, Any]:
    return {
        "section": _section_name(section.section),
        "heading": section.heading,
        "within": section.within,
        "language": section.language,
        "start": section.body.start,
        "end": section.body.end,
    }


def _mention(entity: pb.Entity) -> dict[str, Any]:
    return {
        "text": entity.text,
        "start": entity.span.start,
        "end": entity.span.end,
        "kind": pb.EntityKind.Name(entity.kind).removeprefix("ENTITY_KIND_").lower(),
        "section": _section_name(entity.section),
        "certainty": pb.Certainty.Name(entity.certainty).removeprefix("CERTAINTY_").lower(),
        **{flag: bool(getattr(entity, flag)) for flag in FLAGS},
        "en": entity.display_en,
        "zh": entity.display_zh,
        "code": entity.code,
        "dose": entity.dose,
        "details": [_detail(each) for each in entity.details],
    }


def _detail(detail: pb.Detail) -> dict[str, Any]:
    return {
        "kind": pb.DetailKind.Name(detail.kind).removeprefix("DETAIL_KIND_").lower(),
        "text": detail.text,
        "start": detail.span.start,
        "end": detail.span.end,
        "en": detail.display_en,
        "zh": detail.display_zh,
        "code": detail.code,
    }


def _measurement(each: pb.Measurement) -> dict[str, Any]:
    return {
        "text": each.text,
        "start": each.span.start,
        "end": each.span.end,
        "section": _section_name(each.section),
        "en": each.display_en,
        "zh": each.display_zh,
        "loinc": each.loinc,
        "comparator": each.comparator,
        "value": each.value,
        "high": each.high,
        "unit": each.unit,
        "other_person": each.other_person,
        "historical": each.historical,
        "time": each.time.text,
    }


def _section_name(section: pb.Section.ValueType) -> str:
    return pb.Section.Name(section).removeprefix("SECTION_").lower()
