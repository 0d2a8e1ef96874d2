"""Any text is read, spans always fit, and the time grows with the length alone."""

from __future__ import annotations

import time

import pytest
from dxmesh.nlp.v1 import note_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.nlp.findings import findings
from services.nlp.notes import Note
from services.nlp.reading import MENTIONS_HARD_MAX, read
from services.nlp.tokens import narrow

NOTE_CHARS = 200_000
PIECES = (
    *(
        "主诉：",
        "现病史：",
        "过敏史：",
        "用药史：\n",
        "初步诊断：\n1.",
        "家族史：",
        "HPI: ",
        "ALLERGIES\n",
    ),
    *(
        "MEDICATIONS\n",
        "ASSESSMENT\n",
        "【",
        "】",
        "[NAME]",
        "否认",
        "无",
        "不排除",
        "待排",
        "未见",
        "，",
    ),
    *(
        "、",
        "。",
        "；",
        "：",
        "？",
        "父亲",
        "咳嗽",
        "发热",
        "青霉素",
        "过敏",
        "氨氯地平片",
        "5mg",
        "每日一次",
    ),
    *(
        "3周",
        "No ",
        "denies ",
        "cough",
        "fever",
        ", ",
        ". ",
        "\n",
        "- ",
        "aspirin ",
        "81 mg ",
        "daily ",
    ),
    *(
        "ruled out",
        "mother ",
        "but ",
        " is ",
        "\t",
        "\u3000",
        "Ａ",
        "😀",
        "é",
        "\u2028",
        "1.",
        "(",
        ")",
    ),
    *("左下肢", "剧烈", "疼痛", "3天前", "加重", "8mm×6mm", "结节", "血钾", "6.8", "mmol/L"),
    *("孕32周", "G2P1", "吸烟20年", "已戒5年", "行", "阑尾切除术", "BP 120/80", "WBC ", "12.5"),
    *("severe ", "left knee ", "母亲"),
    *("对", "NKDA", "afebrile", "x 3 days", "淋巴结未触及肿大", "0", "{items}", "\x00", "\ufffd"),
)
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
)


@pytest.mark.requirement("DX-NLP-08")
@settings(max_examples=120, deadline=None)
@given(TEXTS, st.sampled_from(("zh", "en")), st.sampled_from(("zh", "en")))
def test_any_text_is_read_and_every_span_fits(text: str, language: str, report: str) -> None:
    found = findings([Note("note-1", language, text)], report)
    last = 0
    for entity in found.entities:
        assert text[entity.span.start : entity.span.end] == entity.text != ""
        assert last <= entity.span.start
        last = entity.span.end
        assert entity.dose in text
        assert entity.certainty != pb.CERTAINTY_UNSPECIFIED
        assert entity.kind != pb.ENTITY_KIND_UNSPECIFIED
        for detail in entity.details:
            assert text[detail.span.start : detail.span.end] == detail.text != ""
            assert detail.kind != pb.DETAIL_KIND_UNSPECIFIED
    for stated in (*found.measurements, *found.procedures):
        assert text[stated.span.start : stated.span.end] == stated.text != ""
    for measured in found.measurements:
        assert narrow(measured.value) in narrow(measured.text).replace(",", "")
        assert measured.unit in measured.text
    for sentence in found.summary:
        assert sentence.sources
        assert all(0 <= s.start < s.end <= len(text) for s in sentence.sources)
    assert pb.NoteFindings.FromString(found.SerializeToString()) == found


ADVERSARIAL_CHARS = 20_000
UNITS = (
    *("*", "- ", "1.", "无", "？", '。"', "A ", "【", "：", "对", "(", ".", "无发热，", "青霉素、"),
    *("aspirin 5 mg ", "过敏", "a", "#", "一、", "abc ; ", "penicillin, ", "\n", "否认", "is "),
    *("no fever, ", "9", "可能"),
)


@pytest.mark.requirement("DX-NLP-08")
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("before", ["用药史：", "ALLERGIES\n"])
@pytest.mark.timeout(120)
def test_no_text_keeps_the_reader_for_long(unit: str, before: str) -> None:
    """What costs the square of the length or more would not end before the time limit."""
    text = before + unit * (ADVERSARIAL_CHARS // len(unit))
    assert read(Note("note-1", "zh", text)) is not None


BOMBS = {
    "denials": "否认发热、" * 10_000,
    "english denials": "no fever, " * 10_000,
    "conditions": "如出现胸痛，" * 4_000,
    "closings": "曾患肺炎，已治愈，" * 3_000,
    "colons": "a:" * 25_000,
    "letters": "P:\n" * 15_000,
    "headings": "主诉：" * 10_000,
    "bare headings": "既往史\n" * 10_000,
    "capitals": "AB " * 15_000,
    "one word": "a" * 50_000,
    "spaces": " " * 50_000 + "x",
    "brackets": "[{(<【" * 8_000,
    "weights": "体重" * 15_000 + "lost about " * 3_000,
    "numbers": "体重1-2" * 8_000,
    "relatives": "父亲" * 15_000,
    "direction": "\u202e无发\u200f热\u2066，" * 5_000,
    "emoji": "👨‍👩‍👧no fever🤒," * 3_000,
    "nulls": "无\x00发\x00热，" * 5_000,
}


@pytest.mark.requirement("DX-NLP-08")
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.timeout(120)
def test_bad_input_takes_time_as_its_length(name: str) -> None:
    """Four times as long takes less than ten times the time; its square would take sixteen.

    A busy machine can spoil one measurement, so one of three has to hold.
    """
    text = BOMBS[name]
    tries = ((_seconds(text[: len(text) // 4]), _seconds(text)) for _ in range(3))
    assert any(whole < 10 * short + 0.3 for short, whole in tries)


def _seconds(text: str) -> float:
    before = time.process_time()
    found = read(Note("note-1", "zh", text))
    assert len(found.mentions) <= MENTIONS_HARD_MAX
    return time.process_time() - before


@pytest.mark.requirement("DX-NLP-08")
def test_note_of_200000_characters_is_read_and_its_mentions_are_bounded() -> None:
    sample = "现病史：患者咳嗽3周，无发热、胸痛。用药史：氨氯地平片 5mg 每日一次。\n"
    text = sample * (NOTE_CHARS // len(sample)) + "诊断：肺癌待排。"
    found = read(Note("note-1", "zh", text))
    assert 0 < len(found.mentions) <= MENTIONS_HARD_MAX
    assert found.mentions[-1].written == "肺癌"
    for each in found.mentions:
        assert text[each.start : each.end] == each.written
