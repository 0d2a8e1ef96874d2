"""What a record says twice and differently is named with both places; what fits is not."""

from __future__ import annotations

import pytest
from dxmesh.nlp.v1 import note_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.nlp.findings import findings
from services.nlp.notes import note_of

ALLERGY = pb.CONTRADICTION_KIND_ALLERGY
PROBLEM = pb.CONTRADICTION_KIND_PROBLEM
SIDE = pb.CONTRADICTION_KIND_SIDE
SEX = pb.CONTRADICTION_KIND_SEX
DATES = pb.CONTRADICTION_KIND_DATES


def read(*texts: str) -> pb.NoteFindings:
    return findings([note_of(text, f"n{number}") for number, text in enumerate(texts)], "zh")


@pytest.mark.requirement("DX-SUG-08")
@pytest.mark.parametrize(
    ("text", "kind", "first", "second"),
    [
        ("过敏史：青霉素过敏。\n既往史：否认青霉素过敏史。", ALLERGY, "青霉素", "青霉素"),
        ("既往史：否认药物过敏史。\n过敏史：头孢过敏，出现皮疹。", ALLERGY, "药物", "头孢"),
        (
            "ALLERGIES: NKDA.\nHISTORY: She is allergic to penicillin.",
            ALLERGY,
            "NKDA",
            "penicillin",
        ),
        (
            "现病史：高血压病史10年，口服氨氯地平。\n既往史：否认高血压、冠心病病史。",
            PROBLEM,
            "高血压",
            "高血压",
        ),
        (
            "现病史：有2型糖尿病，皮下注射胰岛素。\n既往史：否认糖尿病史。",
            PROBLEM,
            "糖尿病",
            "2型糖尿病",
        ),
        ("个人史：吸烟20年，每日1包。\n既往史：否认吸烟、饮酒史。", PROBLEM, "吸烟", "吸烟"),
        ("主诉：左侧胸痛2天。\n体格检查：右侧胸痛，压痛阳性。", SIDE, "胸痛", "胸痛"),
        ("患者男，56岁。\n诊断：子宫肌瘤。", SEX, "男，56岁", "子宫肌瘤"),
        ("A 34-year-old woman.\nASSESSMENT: Prostatitis.", SEX, "34-year-old woman", "Prostatitis"),
        ("性别：男\n婚育史：末次月经2024年3月2日。", SEX, "性别：男", "末次月经"),
        ("入院日期：2024-03-08\n出院日期：2024-03-05", DATES, "2024-03-08", "2024-03-05"),
    ],
)
def test_what_excludes_each_other_is_named_with_both_places(
    text: str, kind: int, first: str, second: str
) -> None:
    found = read(text)
    [made] = [each for each in found.contradictions if each.kind == kind]
    quoted = [text[span.start : span.end] for span in made.spans]
    assert first in quoted[0] and second in quoted[1]
    assert made.text_zh and made.text_en
    assert any(each.text == made.text_zh for each in found.summary)
    known = {entity.entity_id for entity in found.entities}
    assert set(made.entity_ids) <= known


@pytest.mark.requirement("DX-SUG-08")
@pytest.mark.parametrize(
    "text",
    [
        "主诉：发热3天。\n现病史：3天前发热，现无发热。",
        "既往史：否认高血压病史。\n家族史：父亲患高血压。",
        "过敏史：海鲜过敏。\n既往史：否认药物过敏史。",
        "主诉：左侧胸痛。\n体格检查：左侧胸痛，双侧胸痛不明显。",
        "现病史：左下肢水肿，右下肢水肿。\n体格检查：左下肢水肿。",
        "患者女，30岁。\n诊断：子宫肌瘤。",
        "患者男，40岁。家族史：母亲患子宫肌瘤。",
        "入院日期：2024-03-05\n出院日期：2024-03-08",
        "SOCIAL HISTORY: He denies smoking or living with anyone who smokes.",
        "入院日期：2024-02-31\n出院日期：2024-02-01",
        "现病史：高血压病史10年。计划：如出现糖尿病，加用二甲双胍。\n既往史：否认糖尿病。",
    ],
)
def test_what_fits_together_is_left_alone(text: str) -> None:
    assert list(read(text).contradictions) == []


def test_notes_of_one_case_are_read_together() -> None:
    made = read("患者，男，50岁。\n诊断：高血压。", "患者，女，50岁。\n既往史：否认高血压。")
    assert {each.kind for each in made.contradictions} == {SEX, PROBLEM}
    for each in made.contradictions:
        assert {span.note_id for span in each.spans} == {"n0", "n1"}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "否认高血压史。",
                "高血压10年。",
                "青霉素过敏。",
                "否认药物过敏。",
                "左侧胸痛。",
                "右侧胸痛。",
                "男，5岁。",
                "怀孕。",
                "入院日期：2024-1-2\n",
                "出院日期：2023-1-2\n",
                "{0}",
                "\x00",
                "主诉：",
                "诊断：\n",
            ]
        ),
        max_size=12,
    )
)
def test_any_record_is_read_and_every_place_fits(parts: list[str]) -> None:
    text = "".join(parts)
    for each in read(text).contradictions:
        assert len(each.spans) == 2
        assert all(0 <= span.start < span.end <= len(text) for span in each.spans)


def _sides_of(text: str) -> list[str]:
    return [each.text_zh for each in read(text).contradictions if each.kind == SIDE]


@pytest.mark.requirement("DX-SUG-08")
@pytest.mark.parametrize(
    "text",
    [
        "主诉：右侧肢体无力3小时。\n查体：左侧肢体肌力3级，右侧肌力5级。",
        "突发右侧肢体无力3小时。查体：左上肢肌力2级，左下肢肌力3级，右侧肢体肌力5级。",
        "Preop Diagnosis: Right inguinal hernia.\nPostop Diagnosis: Left inguinal hernia.",
        "Man for assessment of left inguinal hernia. Right inguinal hernia, reducible.",
        "CC: L arm weakness\nExam: LUE 5/5, RUE 2/5.",
    ],
)
def test_sides_of_a_weakness_and_of_a_hernia_are_held_against_each_other(text: str) -> None:
    assert _sides_of(text)


@pytest.mark.requirement("DX-SUG-08")
@pytest.mark.parametrize(
    "text",
    [
        "主诉：左侧肢体无力3小时。\n查体：左侧肢体肌力3级，右侧肌力5级。",
        "主诉：四肢无力。\n查体：左下肢肌力3级，右下肢肌力4级。",
        "Prior right inguinal hernia repair 2012. Now left inguinal hernia.",
        "Left and right inguinal hernia, bilateral inguinal hernia repair.",
        "CC: L arm weakness\nExam: LUE 1/5, LLE 2/5, RUE and RLE 5/5.",
    ],
)
def test_sides_that_fit_together_are_left_alone(text: str) -> None:
    assert _sides_of(text) == []


@pytest.mark.requirement("DX-SUG-08")
def test_a_pressure_that_is_up_is_no_disease_and_an_intolerance_no_allergy() -> None:
    text = "主诉：血压升高1周。\n既往史：否认高血压病史。"
    assert not read(text).contradictions
    text = "Allergies: NKDA. Intolerance to codeine (nausea)."
    assert not read(text).contradictions
