"""What an acceptance reading found lost or misread, and what is alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.nlp import habits
from services.nlp.details import DetailKind
from services.nlp.notes import Note
from services.nlp.reading import read
from services.nlp.summary import summarize
from tests.nlp.reading_of import mentions, said

pytestmark = pytest.mark.requirement("DX-NLP-17")


def lines(text: str, report: str) -> list[str]:
    language = "zh" if re.search("[\u4e00-\u9fff]", text) else "en"
    return [each.text for each in summarize([read(Note("n", language, text))], report)]


@pytest.mark.parametrize(
    ("text", "name", "amount"),
    [
        ("piperacillin-tazobactam 4.5 g IV q6h", "Piperacillin/tazobactam", "4.5 g"),
        ("amoxicillin-clavulanate 875 mg BID", "Amoxicillin/clavulanate", "875 mg"),
        ("sacubitril-valsartan 24/26 mg BID", "Sacubitril/valsartan", "24/26 mg"),
        ("trimethoprim-sulfamethoxazole 800 mg BID", "Co-trimoxazole", "800 mg"),
        ("ipratropium-albuterol 3 mL neb q4h", "Ipratropium/salbutamol", "3 mL"),
        ("losartan-hydrochlorothiazide 50/12.5 mg", "Losartan/hydrochlorothiazide", "50/12.5 mg"),
        ("fluticasone-salmeterol 2 puffs BID", "Salmeterol/fluticasone", "2 puffs"),
        ("pip/tazo 4.5 g IV", "Piperacillin/tazobactam", "4.5 g"),
    ],
)
def test_a_combination_keeps_its_name_and_dose(text: str, name: str, amount: str) -> None:
    (one,) = mentions(f"Medications: {text}.")
    assert one.term is not None
    assert one.dose is not None
    assert (one.term.en, one.dose.amount) == (name, amount)


def test_a_combination_of_no_table_tells_a_dose_of_each() -> None:
    found = mentions("Medications: amlodipine-benazepril 5/20 mg daily, aspirin 81 mg.")
    told = [(each.written, each.dose.amount if each.dose else "") for each in found]
    assert told == [("amlodipine", "5 mg"), ("benazepril", "20 mg"), ("aspirin", "81 mg")]
    (one,) = mentions("Medications: metoprolol-succinate 50 mg daily.")
    assert one.dose is not None
    assert one.dose.amount == "50 mg"


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("家族史：姐姐可能患甲亢。", "甲亢", "?o"),
        ("母亲很可能患有糖尿病。", "糖尿病", "?o"),
        ("怀疑患肺结核。", "肺结核", "?"),
        ("家族史：姐姐患甲亢。", "甲亢", "+o"),
    ],
)
def test_perhaps_having_is_not_having(text: str, written: str, expected: str) -> None:
    assert said(text)[written] == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("CC: off her legs", "主诉：丧失行走能力。"),
        ("CC: sudden tearing chest pain", "主诉：撕裂样胸痛。"),
        ("主诉：停经34周，下腹坠痛3小时。", "Chief complaint: Lower abdominal pain (3 hours)."),
    ],
)
def test_a_complaint_is_told_in_the_other_language(text: str, line: str) -> None:
    found = lines(text, "zh" if text.isascii() else "en")
    assert found[0] == line


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        (
            "Social history: He quit smoking 2 years ago, smoked 1 pack per day for 30 years.",
            "吸烟（每日1包，30年，已戒2年）",
            "Tobacco smoking (1 pack a day, 30 years, quit 2 years ago)",
        ),
        (
            "个人史：吸烟30年，每日20支，未戒烟。饮酒20年，每日饮白酒100ml。",
            "吸烟（每日20支，30年）、饮酒（每日白酒100ml，20年）",
            "Tobacco smoking (20 cigarettes a day, 30 years), "
            "Alcohol drinking (100 mL of spirits a day, 20 years)",
        ),
        (
            "个人史：吸烟，每日20余支，已戒半年。",
            "吸烟（每日20余支，已戒半年）",
            "Tobacco smoking (more than 20 cigarettes a day, quit half a year ago)",
        ),
        (
            "SH: Drinks 2 beers daily. Former smoker, 30 pack-years, quit in 2015.",
            "饮酒（每日2杯啤酒）、吸烟（30包年，2015年已戒）",
            "Alcohol drinking (2 beers a day), Tobacco smoking (30 pack-years, quit in 2015)",
        ),
        ("SH: Former smoker.", "吸烟（已戒）", "Tobacco smoking (quit)"),
        ("SH: Half a pack per day smoker.", "吸烟（每日半包）", "smoking (half a pack a day)"),
        ("既往史：吸烟指数约400，偶尔饮酒。", "吸烟指数400", "cigarettes a day times years 400"),
    ],
)
def test_amounts_years_and_giving_up_are_told(text: str, zh: str, en: str) -> None:
    for language, told in (("zh", zh), ("en", en)):
        found = lines(text, language)
        assert any(told in each for each in found), found


@given(st.text(max_size=60))
def test_any_amount_is_told(text: str) -> None:
    for kind in DetailKind:
        for language in ("zh", "en"):
            habits.facts([(kind, text)], language)


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        (
            "CT chest: an 8-mm nodule in the right upper lobe.",
            "肺结节（肺上叶，右侧，8 mm）",
            "Lung nodule (upper lobe of lung, right, 8 mm)",
        ),
        ("CT：右肺上叶8mm结节。", "结节（肺上叶，右侧，8 mm）", "lung, right, 8 mm)"),
        ("超声：甲状腺结节，大小约12毫米×8毫米。", "（12 mm × 8 mm）", "(12 mm × 8 mm)"),
        ("诊断：社区获得性肺炎。", "肺炎（社区获得性）", "Pneumonia (community-acquired)"),
        ("诊断：右下肺炎。", "肺炎（肺下叶，右侧）", "Pneumonia (lower lobe of lung, right)"),
        (
            "Assessment: Right lower lobe pneumonia.",
            "肺炎（肺下叶，右侧）",
            "Pneumonia (lower lobe of lung, right)",
        ),
        ("Assessment: LUL pneumonia.", "肺炎（肺上叶，左侧）", "Pneumonia (upper lobe"),
        ("主诉：停经约34周。", "孕周 34 周", "Gestational age 34 weeks"),
        ("现病史：停经34周，头痛。", "孕周 34 周", "Gestational age 34 weeks"),
    ],
)
def test_sizes_lobes_and_kinds_are_told(text: str, zh: str, en: str) -> None:
    for language, told in (("zh", zh), ("en", en)):
        found = lines(text, language)
        assert any(told in each for each in found), found


def test_weeks_without_menses_are_no_amenorrhoea() -> None:
    assert not mentions("现病史：停经34周。停经约8周。")
    assert [each.written for each in mentions("现病史：停经3月余。")] == ["停经"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Diagnosis: pneumonia, right lower lobe.", "Pneumonia (lower lobe of lung, right)"),
        ("诊断：肺炎（右下叶）。", "Pneumonia (lower lobe of lung, right)"),
        ("胸片：肺炎，右下肺未见异常。", "Pneumonia."),
        ("Left knee pain, right lower lobe.", "Pain (knee, left)"),
    ],
)
def test_a_lobe_behind_a_comma_is_of_what_it_ends(text: str, told: str) -> None:
    found = lines(text, "en")
    assert any(told in each for each in found), found
