"""Sections: headings by name and by shape, in Chinese and English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.nlp.headings import Section
from services.nlp.sections import sections

pytestmark = pytest.mark.requirement("DX-NLP-02")


def found(text: str) -> list[tuple[str, str]]:
    return [(each.section.value, text[each.start : each.end]) for each in sections(text)]


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("主诉：", "chief_complaint"),
        ("【主诉】", "chief_complaint"),
        ("主 诉:", "chief_complaint"),
        ("一、现病史：", "present_history"),
        ("既往史\n", "past_history"),
        ("个人史：", "personal_history"),
        ("婚育史：", "personal_history"),
        ("家族史：", "family_history"),
        ("药物过敏史：", "allergies"),
        ("体格检查\n", "examination"),
        ("辅助检查：\n", "investigations"),
        ("初步诊断：", "diagnosis"),
        ("诊疗计划：\n", "plan"),
        ("CHIEF COMPLAINT\n", "chief_complaint"),
        ("Chief complaint: ", "chief_complaint"),
        ("## History of Present Illness\n", "present_history"),
        ("HPI: ", "present_history"),
        ("PMH:\n", "past_history"),
        ("Past Medical History:\n", "past_history"),
        ("**Allergies:** ", "allergies"),
        ("Current Medications\n", "medications"),
        ("VITALS\n", "examination"),
        ("RESULTS\n\n", "investigations"),
        ("Assessment and Plan\n", "diagnosis"),
        ("3. PLAN\n", "plan"),
        ("SURGICAL PATHOLOGY NUMBER\n", "unspecified"),
        ("病程记录：\n", "unspecified"),
        ("鉴别诊断：\n", "other"),
    ],
)
def test_heading_is_recognised_as_written(heading: str, section: str) -> None:
    text = f"Some text before.\n{heading}body of it"
    assert found(text) == [("unspecified", "Some text before."), (section, "body of it")]


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("主訴：", "chief_complaint"),
        ("［主诉］", "chief_complaint"),
        ("（一）现病史　", "present_history"),
        ("过敏史及用药史：", "allergies"),
        ("既往史", "past_history"),
        ("入院诊断", "diagnosis"),
        ("=== Hospital Course ===\n", "present_history"),
        ("II. Past Medical Hx:\n", "past_history"),
        ("Past Medical History (PMH):\n", "past_history"),
        ("Medications & Allergies:\n", "medications"),
        ("Labs/Imaging: ", "investigations"),
        ("ALLERGIES ", "allergies"),
        ("HPI - ", "present_history"),
        ("FOLLOW UP\n", "plan"),
        ("Follow-Up:\n", "plan"),
        ("__Exam__\n", "examination"),
    ],
)
def test_heading_of_another_shape_is_recognised(heading: str, section: str) -> None:
    body = "无特殊。" if heading in ("既往史", "入院诊断") else "body of it"
    text = f"Some text before.\n{heading}{body}"
    assert found(text) == [("unspecified", "Some text before."), (section, body)]


def test_part_takes_the_section_it_stands_in() -> None:
    text = "ROS\nLungs: no cough.\nSkin: clear.\nEXAM\nLungs: clear.\nSpecial Maneuvers:\nfine"
    assert [(each.section.value, each.within) for each in sections(text)] == [
        ("present_history", False),
        ("present_history", True),
        ("present_history", True),
        ("examination", False),
        ("examination", True),
        ("examination", True),
    ]


def test_heading_that_comes_again_begins_its_section_again() -> None:
    text = "诊断：肺炎。\n查体：T 36.5℃。\n诊断：胸水。"
    assert found(text)[0::2] == [("diagnosis", "肺炎。"), ("diagnosis", "胸水。")]


def test_heading_of_one_line_swallows_no_more() -> None:
    text = "姓名：[NAME]\n咳嗽3天。"
    assert found(text) == [("other", "[NAME]"), ("unspecified", "咳嗽3天。")]
    text = "HPI: Cough.\nAttending: [NAME]\nNo fever."
    assert found(text)[2] == ("present_history", "No fever.")


def test_letters_are_headings_of_a_note_that_has_them_all() -> None:
    text = "S: cough\nO: clear\nA: cold\nP: rest"
    assert [name for name, _ in found(text)] == [
        "present_history",
        "examination",
        "diagnosis",
        "plan",
    ]
    assert found("查体：\nP: 80次/分") == [("examination", "P: 80次/分")]


def test_medicine_in_capitals_is_no_heading() -> None:
    assert found("MEDICATIONS\nASPIRIN\n- LISINOPRIL\n") == [
        ("medications", "ASPIRIN\n- LISINOPRIL")
    ]
    assert len(found("PATIENT HAS COUGH\nNO FEVER TODAY\nPLAN:\nREST AT HOME\n")) == 2


def test_several_headings_on_one_line() -> None:
    text = "主诉：咳嗽。 现病史：3周前咳嗽。过敏史：无。"
    assert found(text) == [
        ("chief_complaint", "咳嗽。"),
        ("present_history", "3周前咳嗽。"),
        ("allergies", "无。"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "否认既往史中提到的疾病。",
        "The plan is to repeat the test.",
        "She takes medications: none.",
        "[NAME] was seen today.",
        "[机构] 咳嗽",
        "血压控制可",
    ],
)
def test_ordinary_sentence_is_no_heading(text: str) -> None:
    assert found(text) == [("unspecified", text)]


def test_note_without_headings_is_one_section() -> None:
    (only,) = sections("Cough for 3 days. No fever.")
    assert only.section is Section.UNSPECIFIED
    assert (only.heading_start, only.heading_end) == (0, 0)


@given(
    st.text(
        alphabet=st.sampled_from("主诉现病史：: \n\t【】[]1.一、#*-ABCPlan过敏。x"), max_size=200
    )
)
def test_sections_are_in_order_and_do_not_overlap(text: str) -> None:
    place = 0
    for each in sections(text):
        assert place <= each.heading_start <= each.heading_end <= len(text)
        assert each.heading_end <= each.start <= each.end <= len(text)
        place = each.end
