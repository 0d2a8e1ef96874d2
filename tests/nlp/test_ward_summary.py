"""The summary of whole ward notes: values, operations, whose a disease is, what belongs where."""

from __future__ import annotations

import re

import pytest

from services.nlp.notes import Note
from services.nlp.reading import read
from services.nlp.summary import summarize

pytestmark = pytest.mark.requirement("DX-NLP-07")


def lines(text: str, report: str = "") -> list[str]:
    language = "zh" if re.search("[\u4e00-\u9fff]", text) else "en"
    return [s.text for s in summarize([read(Note("n", language, text))], report or language)]


@pytest.mark.parametrize(
    ("text", "report", "line"),
    [
        ("查体：GCS 13分，BP 86/54mmHg。", "zh", "格拉斯哥昏迷评分 13 分、血压 86/54 mmHg。"),
        ("查体：GCS 13分，P 118次/分。", "en", "Glasgow coma score 13, Heart rate 118 /min."),
        ("化验：尿hCG阳性。", "en", "Results in the notes: Pregnancy test positive."),
        (
            "既往史：2015年行右侧腹股沟疝修补术。",
            "zh",
            "手术与操作：右侧腹股沟疝修补术（2015，既往）。",
        ),
        ("手术名称：腹腔镜下阑尾切除术+腹腔引流术。", "zh", "腹腔镜下阑尾切除术、腹腔引流术。"),
        ("Op note: Bowel resection was not required.", "en", "Not done: Colectomy."),
        ("计划：拟急诊胃镜下止血。", "zh", "计划或待定的操作与检查：胃镜检查。"),
        (
            "家族史：父亲死于脑出血，母亲患糖尿病。",
            "zh",
            "家族史：脑出血（父亲）、糖尿病（母亲）。",
        ),
        ("患者咳嗽。父亲有胃癌病史。", "zh", "家族史：胃癌（父亲）。"),
        ("现病史：发热。班上有手足口病患儿。", "zh", "他人所患（非患者本人）：手足口病。"),
        ("查体：否认高血压。心律齐。", "zh", "既往否认：高血压。"),
        ("HPI: Cough. No h/o DVT.", "en", "Past history, denied: Deep venous thrombosis."),
        ("HPI: STOP taking: hydrochlorothiazide.", "en", "Hydrochlorothiazide (stopped)."),
        (
            "现病史：2天前右下肢较左侧粗。",
            "zh",
            "现病史，2天前：单侧下肢肿胀（右侧）。",
        ),
        ("现病史：半小时前抽搐1次。", "zh", "现病史，半小时前：抽搐。"),
        ("Allergies: shellfish but patient eats shrimp without problems.", "en", "s: Seafood."),
        ("既往：否认药物过敏，曾起皮疹。", "zh", "否认过敏：药物。"),
    ],
)
def test_line(text: str, report: str, line: str) -> None:
    found = lines(text, report)
    assert any(each.endswith(line) for each in found), found


def test_what_is_only_named_is_not_planned() -> None:
    assert not any("溶栓" in each for each in lines("计划：已超过静脉溶栓时间窗。"))


def test_a_date_of_the_menses_is_no_time_of_the_illness() -> None:
    found = lines("现病史：末次月经 2026-03-12，停经后恶心、呕吐。")
    assert not any("2026" in each for each in found)


def test_past_and_month_end_the_time_before() -> None:
    found = lines("现病史：今晨气促。既往COPD 15年。近3月消瘦。胃镜（2026-05）：糜烂。")
    assert "现病史，今晨：呼吸困难。" in found
    assert "现病史，近3个月：体重减轻。" in found
    assert "现病史，2026-05：糜烂。" in found


def test_a_time_is_not_of_what_lasts_nor_of_what_is_now() -> None:
    found = lines(
        "HPI: A man with CKD and gout has dyspnea after running out of torsemide 10 days ago."
        " He reports leg swelling."
    )
    assert not any("10 days ago" in each for each in found), found
