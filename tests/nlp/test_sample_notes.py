"""The sample admission notes, read in detail, with the report in either language."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.nlp import notes, timeline
from services.nlp.findings import findings

SAMPLES = Path(__file__).parents[2] / "samples" / "notes"
CERTAINTY = {
    pb.CERTAINTY_AFFIRMED: "+",
    pb.CERTAINTY_NEGATED: "-",
    pb.CERTAINTY_UNCERTAIN: "?",
}
EXPECTED = {
    "CHIEF_COMPLAINT": {"Cough": "+", "Weight loss": "+"},
    "PRESENT_HISTORY": {
        "Cough": "+", "Productive cough": "+", "Fatigue": "+", "Anorexia": "+", "Lung nodule": "+",
        "Lung cancer": "?", "Hemoptysis": "-", "Chest pain": "-", "Dyspnea": "-", "Fever": "-",
        "Night sweats": "-",
    },
    "PAST_HISTORY": {
        "Hypertension": "+", "Diabetes mellitus": "-", "Coronary artery disease": "-",
        "Stroke": "-", "Hepatitis": "-", "Tuberculosis": "-", "Surgery": "-", "Trauma": "-",
        "Blood transfusion": "-",
    },
    "PERSONAL_HISTORY": {"Tobacco smoking": "+", "Alcohol drinking": "+", "Dust exposure": "-"},
    "ALLERGIES": {"Penicillin": "+", "Food": "-", "Skin rash": "+"},
    "MEDICATIONS": {
        "Amlodipine": "+", "Valsartan": "+", "Atorvastatin": "+", "Anticoagulant": "-",
    },
    "FAMILY_HISTORY": {"Lung cancer": "+", "Hypertension": "+", "Hereditary disease": "-"},
    "EXAMINATION": {
        "Cyanosis": "-", "Lymphadenopathy": "-", "Crackles": "-", "Heart murmur": "-",
        "Abdominal tenderness": "-", "Rebound tenderness": "-",
    },
    "INVESTIGATIONS": {"Lung nodule": "+", "Pleural effusion": "-", "Lymphadenopathy": "-"},
    "DIAGNOSIS": {
        "Lung nodule": "+", "Lung cancer": "?", "Hyperkalemia": "+", "Renal insufficiency": "+",
    },
}  # fmt: skip
SUMMARY_EN = [
    "Chief complaint: Cough for 3 weeks with weight loss.",
    "Present illness, over the last 2 months: Weight loss, Fatigue, Anorexia.",
    "Present illness, 2026-11-18: Lung nodule (lower lobe of lung, left), Cough.",
    "Present illness, 2026-11-18, suspected or not excluded: Lung cancer.",
    "Past history: Hypertension (10 years).",
    "Allergies: Penicillin (Skin rash).",
    "No known allergy to: Food.",
    "Medications: Amlodipine 5 mg once daily, Valsartan 80 mg once daily, "
    "Atorvastatin 20 mg at night.",
    "Family history: Lung cancer (father), Hypertension (mother).",
    "Assessment: Lung nodule (lower lobe of lung, left), Hyperkalemia, Renal insufficiency, "
    "Grade 2 hypertension.",
]
SUMMARY_ZH = [
    "主诉：咳嗽3周，伴体重下降。",
    "现病史中否认或未见：咯血、胸痛、呼吸困难、发热、盗汗。",
    "现病史，3周前：咳嗽、干咳、咳痰。",
    "现病史，近2个月：体重减轻、乏力、食欲减退。",
    "现病史，2026-11-18，疑似或未排除：肺癌。",
    "既往史：高血压（10年）。",
    "既往否认：糖尿病、冠心病、卒中、肝炎、结核、传染病、手术、外伤、输血。",
    "过敏：青霉素（皮疹）。",
    "否认过敏：食物。",
    "用药：氨氯地平 5mg 每日一次、缬沙坦 80mg 每日一次、阿托伐他汀 20mg 每晚一次。",
    "家族史：肺癌（父亲）、高血压（母亲）。",
    "诊断：肺结节（肺下叶，左侧）、高钾血症、肾功能不全、高血压2级。",
]


def read(note_language: str, report_language: str) -> pb.NoteFindings:
    text = (SAMPLES / f"admission_{note_language}.txt").read_text("utf-8")
    document = {"notes": [{"id": "note-1", "language": note_language, "text": text}]}
    return findings(notes.read(json.dumps(document).encode()), report_language)


@pytest.mark.requirement("DX-NLP-03")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_sample_note_yields_what_it_says_by_section(language: str) -> None:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for entity in read(language, language).entities:
        section = pb.Section.Name(entity.section).removeprefix("SECTION_")
        found[section].setdefault(entity.display_en, CERTAINTY[entity.certainty])
    assert found["DIAGNOSIS"]["Grade 2 hypertension"] == "+"
    for section, expected in EXPECTED.items():
        assert {name: found[section].get(name) for name in expected} == expected, section


@pytest.mark.requirement("DX-NLP-03")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_mention_stands_where_its_span_says(language: str) -> None:
    found = read(language, language)
    text = found.notes[0].text
    for entity in found.entities:
        assert text[entity.span.start : entity.span.end] == entity.text
    for section in found.notes[0].sections:
        assert section.heading in text
        assert 0 <= section.body.start <= section.body.end <= len(text)
    assert len({entity.entity_id for entity in found.entities}) == len(found.entities)


@pytest.mark.requirement("DX-NLP-05")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_family_is_somebody_else_and_nobody_else_is(language: str) -> None:
    for entity in read(language, language).entities:
        assert entity.other_person is (entity.section == pb.SECTION_FAMILY_HISTORY)


@pytest.mark.requirement("DX-NLP-06")
def test_doses_of_the_sample_are_as_written() -> None:
    doses = {e.display_en: e.dose for e in read("zh", "zh").entities if e.dose}
    assert doses == {
        "Amlodipine": "5mg 每日一次",
        "Valsartan": "80mg 每日一次",
        "Atorvastatin": "20mg 每晚一次",
    }


@pytest.mark.requirement("DX-NLP-07")
@pytest.mark.parametrize(("language", "expected"), [("zh", SUMMARY_ZH), ("en", SUMMARY_EN)])
def test_summary_in_the_language_of_the_note(language: str, expected: list[str]) -> None:
    said = [sentence.text for sentence in read(language, language).summary]
    assert [line for line in said if line in expected] == expected


@pytest.mark.requirement("DX-NLP-07")
def test_english_report_of_a_chinese_note_holds_no_chinese() -> None:
    said = [sentence.text for sentence in read("zh", "en").summary]
    assert said[0] == "Chief complaint: Cough (3 weeks), Weight loss."
    assert "Allergies: Penicillin (Skin rash)." in said
    assert "Past history: Hypertension (10 years)." in said
    assert not any("\u4e00" <= character <= "\u9fff" for line in said for character in line)


@pytest.mark.requirement("DX-NLP-07")
def test_chinese_report_of_an_english_note_holds_no_english_word() -> None:
    said = [sentence.text for sentence in read("en", "zh").summary]
    assert said[0] == "主诉：咳嗽（3周）、体重减轻。"
    assert "过敏：青霉素（皮疹）。" in said
    words = {word for line in said for word in line.split() if word.isascii() and word.isalpha()}
    assert words == {"mg"}


@pytest.mark.requirement("DX-NLP-07")
@pytest.mark.parametrize("note", ["zh", "en"])
@pytest.mark.parametrize("report", ["zh", "en"])
def test_sentence_of_the_summary_points_to_its_sources(note: str, report: str) -> None:
    found = read(note, report)
    text = found.notes[0].text
    stated = {
        (e.span.start, e.text) for e in (*found.entities, *found.procedures, *found.measurements)
    }
    for sentence in found.summary:
        assert sentence.sources
        for span in sentence.sources:
            source = text[span.start : span.end]
            assert source.strip() == source != ""
            is_quote = source.rstrip("。. ") in sentence.text
            is_time = any(timeline.times(source, 0, len(source)))
            names_one = any(span.start <= s < span.end and t in source for s, t in stated)
            assert is_quote or is_time or names_one
