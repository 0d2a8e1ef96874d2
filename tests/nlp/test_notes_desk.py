"""A note read by itself: sections, mentions and summary, with places in the text as given."""

from __future__ import annotations

import pytest

from services.kernel.errors import MeshError
from services.nlp import desk

pytestmark = pytest.mark.requirement("DX-NLP-14")

TEXT = (
    "主诉：咳嗽3天。\n现病史：无发热，拟行胸部CT，建议口服阿莫西林 0.5g 每日三次。\n"
    "PLAN: start metformin."
)


def test_answer_holds_sections_mentions_and_summary() -> None:
    found = desk.answer({"text": TEXT, "language": "en"})
    assert found["language"] == "zh"
    assert [(each["section"], each["language"]) for each in found["sections"]] == [
        ("chief_complaint", "zh"),
        ("present_history", "zh"),
        ("plan", "en"),
    ]
    said = {each["text"]: each for each in found["mentions"]}
    for written, each in said.items():
        assert TEXT[each["start"] : each["end"]] == written
    assert said["发热"]["certainty"] == "negated"
    assert said["阿莫西林"]["planned"]
    assert said["阿莫西林"]["dose"] == "0.5g 每日三次"
    assert said["metformin"]["planned"]
    lines = [each["text"] for each in found["summary"]]
    assert "Planned, not yet done or given: Amoxicillin 0.5g three times daily, Metformin." in lines
    assert all(each["sources"] for each in found["summary"])


def test_summary_is_in_the_language_of_the_note_unless_stated() -> None:
    assert desk.answer({"text": TEXT})["summary"][0]["text"] == "主诉：咳嗽3天。"


@pytest.mark.parametrize(
    "request_", [{}, [], {"text": 5}, {"text": " "}, {"text": "cough", "language": "fr"}]
)
def test_what_cannot_be_read_is_refused(request_: object) -> None:
    with pytest.raises(MeshError) as refused:
        desk.answer(request_)
    assert refused.value.reason
