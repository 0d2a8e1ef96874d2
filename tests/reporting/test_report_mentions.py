"""Mentions of the notes in the report: what is not there is never told as present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import notes
from services.reporting.draft import Draft, Kind, Outcome, Part
from services.reporting.words import Language

pytestmark = pytest.mark.requirement("DX-NLP-12")


def mention(draft: Draft, **said: Any) -> dict[str, Any]:
    entity = pb.Entity(
        entity_id="entity-1",
        kind=pb.ENTITY_KIND_MEDICATION,
        text="metformin",
        span=pb.Span(note_id="note-1", start=0, end=9),
        **said,
    )
    found = pb.NoteFindings(
        notes=[pb.NoteText(note_id="note-1", language="en", text="metformin")], entities=[entity]
    )
    part = Part("part-1", Kind.NOTES, Outcome.COMPLETED, found)
    topic = notes.compose(draft, part, found)
    (observation,) = [r for r in topic.observations if "component" in r]
    return {each["code"]["coding"][0]["code"]: each for each in observation["component"]}


@pytest.mark.parametrize(
    ("flag", "certainty", "code", "zh", "en"),
    [
        ("planned", pb.CERTAINTY_UNCERTAIN, "uncertain", "计划中", "planned, not yet"),
        ("conditional", pb.CERTAINTY_UNCERTAIN, "uncertain", "假设", "only a condition"),
        ("resolved", pb.CERTAINTY_NEGATED, "negated", "缓解", "is gone"),
    ],
)
def test_what_is_not_there_now_is_said_so(
    draft: Callable[..., Draft], flag: str, certainty: Any, code: str, zh: str, en: str
) -> None:
    languages: tuple[tuple[Language, str], ...] = (("zh", zh), ("en", en))
    for language, words in languages:
        found = mention(draft(language), certainty=certainty, **{flag: True})
        value = found["assertion"]["valueCodeableConcept"]
        assert value["coding"][0]["code"] == code
        assert words in value["text"]
        assert found[flag]["valueBoolean"] is True


def test_mention_that_is_there_has_no_such_component(draft: Callable[..., Draft]) -> None:
    found = mention(draft("en"), certainty=pb.CERTAINTY_AFFIRMED)
    assert found["assertion"]["valueCodeableConcept"]["text"] == "present"
    assert not {"planned", "conditional", "resolved", "historical"} & set(found)
