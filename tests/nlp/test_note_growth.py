"""Findings with their summary and contradictions take time as the length of the note."""

from __future__ import annotations

import time

import pytest

from services.nlp.findings import findings
from services.nlp.notes import Note

PLAN = "1.完善胸部CT，2.予阿莫西林口服，肺炎，糖尿病，"
LISTS = {
    "examinations of a plan": "诊疗计划：\n" + PLAN * 120,
    "denials of the present illness": "现病史：" + "否认发热、" * 1_000,
    "denials on examination": "查体：" + "未见黄疸，" * 1_000,
    "values": "Na 140 K 4.5 血钾5.6mmol/L，" * 300,
    "operations": "手术史：" + "阑尾切除术、" * 300,
}


@pytest.mark.requirement("DX-NLP-08")
@pytest.mark.parametrize("name", LISTS)
def test_a_long_list_takes_time_as_its_length(name: str) -> None:
    text = LISTS[name]
    tries = ((_seconds(text[: len(text) // 4]), _seconds(text)) for _ in range(3))
    assert any(whole < 8 * short + 0.2 for short, whole in tries)


def _seconds(text: str) -> float:
    before = time.process_time()
    findings([Note("note-1", "zh", text)], "zh")
    return time.process_time() - before
