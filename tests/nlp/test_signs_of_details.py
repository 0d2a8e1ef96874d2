"""Sides, times and sizes in every form whose signs decide whether a sentence is searched at all."""

from __future__ import annotations

import pytest

from services.nlp.details import DetailKind
from tests.nlp.reading_of import mentions, the_text

pytestmark = pytest.mark.requirement("DX-NLP-05")


def told(text: str, name: str, kind: DetailKind) -> list[str]:
    """Return what a note says of a mention, in one respect."""
    (found,) = (each for each in mentions(text) if each.written == name)
    return [the_text(text, each) for each in found.details if each.kind is kind]


@pytest.mark.parametrize(
    ("text", "name", "side"),
    [
        ("LEFT KNEE PAIN TODAY.", "PAIN", "LEFT"),
        ("Right knee pain today.", "pain", "Right"),
        ("b/l knee pain today.", "pain", "b/l"),
        ("Pain in both knees.", "Pain", "both"),
        ("bilateral knee pain today.", "pain", "bilateral"),
        ("双侧膝关节疼痛。", "关节疼痛", "双侧"),
        ("两侧胸痛。", "胸痛", "两侧"),
        ("左胸痛。", "胸痛", "左"),
    ],
)
def test_a_side_is_found_in_every_form(text: str, name: str, side: str) -> None:
    assert told(text, name, DetailKind.SIDE) == [side]


@pytest.mark.parametrize(
    ("text", "name", "time"),
    [
        ("COUGH SINCE CHILDHOOD.", "COUGH", "SINCE CHILDHOOD"),
        ("Vomiting yesterday.", "Vomiting", "yesterday"),
        ("Vomiting last night.", "Vomiting", "last night"),
        ("Vomiting this morning.", "Vomiting", "this morning"),
        ("Vomiting on Friday.", "Vomiting", "on Friday"),
        ("Vomiting two days ago.", "Vomiting", "two days ago"),
        ("Vomiting in 2019.", "Vomiting", "in 2019"),
        ("昨晚呕吐。", "呕吐", "昨晚"),
        ("今晨呕吐。", "呕吐", "今晨"),
        ("当晚呕吐。", "呕吐", "当晚"),
        ("半天前呕吐。", "呕吐", "半天前"),
        ("近两周咳嗽。", "咳嗽", "近两周"),
    ],
)
def test_a_time_is_found_in_every_form(text: str, name: str, time: str) -> None:
    assert told(text, name, DetailKind.ONSET) == [time]
