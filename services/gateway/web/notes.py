"""The summary of the notes, and the notes themselves cut where a sentence has its source. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Json = Mapping[str, Any]
SPAN = "urn:dxmesh:fhir:StructureDefinition:source-span"
ENTITIES = "urn:dxmesh:note-entity"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the summary."""

    number: int
    section: str
    text: str
    sourced: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of a note's text, and the sentences it is a source of."""

    text: str
    sentences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A de-identified note."""

    id: str
    title: str
    language: str
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of code points of a note, the source of a sentence."""

    document: str
    start: int
    end: int
    sentence: int


def summary_of(resources: Sequence[Json]) -> tuple[list[Sentence], list[Span]]:
    """Return the sentences of the summary, numbered from 1, and where each comes from."""
    sentences: list[Sentence] = []
    spans: list[Span] = []
    for observation in resources:
        if observation["resourceType"] != "Observation" or not _is_summary(observation):
            continue
        for component in observation.get("component", []):
            number = len(sentences) + 1
            found = [span_of(e, number) for e in component.get("extension", []) if e["url"] == SPAN]
            spans += found
            section = str(component.get("code", {}).get("text", ""))
            text = str(component.get("valueString", ""))
            sentences.append(Sentence(number, section, text, bool(found)))
    return sentences, spans


def notes_of(resources: Sequence[Json], spans: Iterable[Span]) -> list[Note]:
    """Return each note, cut where a numbered statement has its source."""
    told = list(spans)
    texts = {r["id"]: _decoded(r) for r in resources if r["resourceType"] == "Binary"}
    found = [
        _note(r, texts, [s for s in told if s.document == f"DocumentReference/{r['id']}"])
        for r in resources
        if r["resourceType"] == "DocumentReference"
    ]
    return [note for note in found if note.segments]


def cut(text: str, spans: Iterable[Span]) -> list[Segment]:
    """Return the text cut at every span's ends; joined, the segments are the text again."""
    inside = [span for span in spans if 0 <= span.start < span.end <= len(text)]
    places = sorted({0, len(text), *(s.start for s in inside), *(s.end for s in inside)})
    segments: list[Segment] = []
    for start, end in pairwise(places):
        over = {s.sentence for s in inside if s.start <= start and end <= s.end}
        segments.append(Segment(text[start:end], tuple(sorted(over))))
    return segments


def _note(document: Json, texts: Mapping[str, str], spans: Sequence[Span]) -> Note:
    attachment = document.get("content", [{}])[0].get("attachment", {})
    text = texts.get(str(attachment.get("url", "")).partition("/")[2], "")
    return Note(
        str(document["id"]),
        str(document.get("description", "")),
        str(attachment.get("language", "")),
        cut(text, spans) if text else [],
    )


def span_of(extension: Json, sentence: int) -> Span:
    """Return the span that an extension `source-span` holds, for a numbered statement."""
    parts = {part["url"].rpartition(":")[2]: part for part in extension["extension"]}
    document = parts["document"]["valueReference"]["reference"]
    return Span(document, parts["start"]["valueInteger"], parts["end"]["valueInteger"], sentence)


def _is_summary(observation: Json) -> bool:
    codings = observation.get("code", {}).get("coding", [])
    return any((c.get("system"), c.get("code")) == (ENTITIES, "summary") for c in codings)


def _decoded(binary: Json) -> str:
    if not str(binary.get("contentType", "")).startswith("text/plain"):
        return ""
    return base64.b64decode(binary.get("data", "")).decode("utf-8", "replace")
