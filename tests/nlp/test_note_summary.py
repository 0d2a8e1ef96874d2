"""The summary says what the notes say, once, and loses nothing that matters."""

from __future__ import annotations

import pytest

from services.nlp.notes import Note
from services.nlp.reading import read
from services.nlp.summary import Sentence, summarize
from services.nlp.wording import ITEMS_MAX

pytestmark = pytest.mark.requirement("DX-NLP-07")


def summary(*texts: str, language: str = "en", note_language: str = "en") -> list[Sentence]:
    readings = [read(Note(f"note-{n}", note_language, text)) for n, text in enumerate(texts, 1)]
    return summarize(readings, language)


def lines(*texts: str, language: str = "en", note_language: str = "en") -> list[str]:
    return [s.text for s in summary(*texts, language=language, note_language=note_language)]


def test_note_without_a_known_word_has_no_summary() -> None:
    assert lines("Seen today. All well.") == []


def test_note_without_sections_is_summed_up_as_a_whole() -> None:
    assert lines("Cough for 3 days, no fever. Possible pneumonia.") == [
        "The note mentions: Cough (3 days).",
        "The note mentions as suspected or not excluded: Pneumonia.",
        "The note mentions as denied or absent: Fever.",
    ]


def test_concept_in_two_notes_is_said_once_with_both_sources() -> None:
    (sentence,) = summary("PMH: gout.", "PMH: Gout and gout.")
    assert sentence.text == "Past history: Gout."
    assert [source.note_id for source in sentence.sources] == ["note-1", "note-2", "note-2"]


def test_allergy_that_no_table_knows_is_quoted() -> None:
    assert lines("Allergies: tomatoes cause trouble") == [
        'Allergies, as written: "tomatoes cause trouble".'
    ]
    assert lines("过敏史：西红柿", language="en", note_language="zh") == [
        'Allergies, as written: "西红柿".'
    ]


@pytest.mark.parametrize("said", ["否认药物食物过敏史", "否认药物、食物过敏史"])
def test_allergens_that_follow_each_other_are_all_denied(said: str) -> None:
    found = lines(f"既往体健，{said}。", language="zh", note_language="zh")
    assert found == ["否认过敏：药物、食物。"]


def test_chief_complaint_without_a_known_word_is_quoted_in_the_other_language_too() -> None:
    text = "Chief Complaint: follow-up"
    assert lines(text, language="zh") == ["主诉原文：“follow-up”。"]
    assert lines(text) == ["Chief complaint: follow-up."]


def test_medications_told_outside_their_section_are_not_lost() -> None:
    text = "现病史：发热2天。既往糖尿病5年，口服二甲双胍 0.5g 每日三次，未服用阿司匹林。"
    assert lines(text, language="zh", note_language="zh") == [
        "现病史：发热（2天）、糖尿病（5年）。",
        "病历其他处提及的药物（含已停用）：二甲双胍 0.5g 每日三次。",
        "病历其他处称未用的药物：阿司匹林。",
    ]
    assert lines("Stopped metformin. Takes aspirin 81 mg daily.") == [
        "Medications mentioned elsewhere, stopped ones included: "
        "Metformin (stopped), Aspirin 81 mg once daily."
    ]


def test_medication_of_its_own_section_is_said_once() -> None:
    text = "HPI: On aspirin.\nMedications: aspirin 81 mg daily\nFH: Mother took metformin."
    assert lines(text) == ["Medications: Aspirin 81 mg once daily."]


def test_what_is_planned_is_said_to_be_planned_alone() -> None:
    assert lines("Plan: start metformin.") == ["Planned, not yet done or given: Metformin."]
    assert lines("HPI: Cough. We will start metformin. Return if fever.") == [
        "Present illness: Cough.",
        "Planned, not yet done or given: Metformin.",
    ]
    assert lines("现病史：咳嗽2天，拟加用氨氯地平。", language="zh", note_language="zh") == [
        "现病史：咳嗽（2天）。",
        "计划中（尚未施行或使用）：氨氯地平。",
    ]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("MISCELLANEOUS ITEMS:\nAsthma.", "en", "The note mentions: Asthma."),
        ("病程记录：\n患者今日仍有胸痛。", "zh", "病历提及：胸痛。"),
    ],
)
def test_what_stands_under_an_unknown_heading_is_not_lost(
    text: str, language: str, expected: str
) -> None:
    assert lines(text, language=language, note_language=language) == [expected]


def test_denied_and_affirmed_are_never_mixed() -> None:
    assert lines("HPI: No fever. Cough. Fever yesterday.") == [
        "Present illness: Cough.",
        "Present illness, denied or absent: Fever.",
        "Present illness, yesterday: Fever.",
    ]


def test_what_is_only_to_be_watched_for_is_not_said() -> None:
    assert lines("HPI: Cough. Return if chest pain occurs.") == ["Present illness: Cough."]


def test_family_is_kept_apart() -> None:
    assert lines("HPI: Cough. Her mother had asthma.\nFH: gout") == [
        "Present illness: Cough.",
        "Family history: Asthma (mother), Gout.",
    ]


def test_what_is_over_is_called_past() -> None:
    assert lines("PMH: history of pneumonia") == ["Past history: Pneumonia (past)."]


def test_long_list_is_cut_with_its_length() -> None:
    names = "cough, fever, gout, asthma, stroke, nausea, vomiting, headache, syncope, anemia, rash"
    (text,) = lines(f"HPI: {names}, jaundice, ascites, edema.")
    assert text.endswith("and 2 more.")
    assert text.count(",") == ITEMS_MAX - 1


def test_braces_in_a_note_mean_nothing() -> None:
    assert lines("Chief complaint: {items} {text}") == ["Chief complaint: {items} {text}."]


def test_allergy_and_medicine_told_in_the_present_illness_have_no_time_of_their_own() -> None:
    found = lines("现病史：3天前发热，对青霉素过敏。", language="zh", note_language="zh")
    assert found == ["现病史，3天前：发热。", "过敏：青霉素。"]
    found = lines("HPI: Two weeks ago she had a fever. She is allergic to Bactrim - rash.")
    assert "Allergies: Co-trimoxazole (Skin rash)." in found


PLAN = """ASSESSMENT AND PLAN
Acute bronchitis.
• Medical Treatment: Continue lisinopril 20 mg once daily and Lasix. No NSAIDs.

Diabetes type II.
• Medical Treatment: Increase metformin to 1000 mg twice daily. Start meloxicam 15 mg daily.
"""


def test_medicines_that_a_plan_goes_on_with_are_told_apart_from_new_ones() -> None:
    found = lines(PLAN)
    assert "Planned, not yet done or given: Meloxicam 15 mg once daily." in found
    [told] = [line for line in found if line.startswith("Medicines in the plan: ")]
    for medicine in ("Lisinopril 20 mg once daily", "Furosemide", "Metformin 1000 mg twice daily"):
        assert medicine in told


def test_a_problem_alone_in_its_line_of_a_plan_is_an_assessment() -> None:
    [assessment] = [line for line in lines(PLAN) if line.startswith("Assessment: ")]
    assert "diabetes" in assessment.lower()
    in_passing = PLAN.replace("Diabetes type II.", "She will come back if the cough gets worse.")
    assert not any("cough" in line.lower() for line in lines(in_passing))


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        ("Assessment: pain in the right knee.", "en", "Assessment: Pain (knee, right)."),
        ("Assessment: back pain.", "en", "Assessment: Back pain."),
        ("诊断：右膝关节疼痛。", "zh", "诊断：关节痛（膝部，右侧）。"),
        (
            "Exam: tenderness of the left lower quadrant.",
            "en",
            "Examination mentions: Abdominal tenderness (left lower quadrant).",
        ),
        ("诊断：胸闷。", "zh", "诊断：胸闷。"),
    ],
)
def test_where_a_complaint_is_is_kept(text: str, language: str, told: str) -> None:
    [sentence] = summary(text, language=language, note_language=language)
    assert sentence.text == told


def test_what_a_plan_stops_is_not_given() -> None:
    found = lines(
        "PLAN\nStart meloxicam 15 mg daily. Stop ibuprofen. Continue aspirin 81 mg daily."
    )
    assert "Medicines in the plan: Aspirin 81 mg once daily." in found
    assert "Medicines the plan stops or rules out: Ibuprofen." in found


def test_a_reaction_is_told_with_its_allergy_and_is_no_disease() -> None:
    found = lines("既往史：高血压10年。青霉素过敏（皮疹）。", language="zh", note_language="zh")
    assert found == ["既往史：高血压（10年）。", "过敏：青霉素（皮疹）。"]
