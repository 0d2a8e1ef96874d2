"""Names of ward notes: medicines, signs and diseases in both languages, and their look-alikes."""

from __future__ import annotations

import pytest

from services.nlp.terms import Kind
from tests.nlp.reading_of import mentions, said

pytestmark = pytest.mark.requirement("DX-NLP-03")


@pytest.mark.parametrize(
    ("written", "en"),
    [
        ("格列本脲", "Glibenclamide"),
        ("优降糖", "Glibenclamide"),
        ("glyburide", "Glibenclamide"),
        ("磺脲类", "Sulfonylurea"),
        ("gemfibrozil", "Gemfibrozil"),
        ("硫酸镁", "Magnesium sulfate"),
        ("甘露醇", "Mannitol"),
        ("生长抑素", "Somatostatin"),
        ("octreotide", "Octreotide"),
        ("维生素K1", "Vitamin K"),
        ("布地格福", "Budesonide/glycopyrronium/formoterol"),
        ("β受体阻滞剂", "Beta blocker"),
        ("NTG", "Nitroglycerin"),
        ("thiamine", "Vitamin B1"),
        ("氯吡格雷", "Clopidogrel"),
        ("甲硫咪唑", None),
    ],
)
def test_medicines_of_the_formulary_are_known(written: str, en: str | None) -> None:
    language = "zh" if not written.isascii() else "en"
    text = f"长期口服{written}。" if language == "zh" else f"She takes {written} at home."
    found = [m.term.en for m in mentions(text, language) if m.kind is Kind.MEDICATION and m.term]
    assert found == ([en] if en else [])


@pytest.mark.parametrize(
    ("text", "en"),
    [
        ("扑翼样震颤阳性", "Asterixis"),
        ("呈嗜睡状", "Drowsiness"),
        ("呕吐咖啡渣样物2次", "Hematemesis"),
        ("呕吐暗红色血液300ml", "Hematemesis"),
        ("妊娠期糖尿病", "Gestational diabetes"),
        ("肝性脑病2级", "Hepatic encephalopathy"),
        ("急性肝衰竭", "Acute hepatic failure"),
        ("左侧腹股沟斜疝", "Inguinal hernia"),
        ("大小便失禁", "Urinary and fecal incontinence"),
        ("食管静脉曲张破裂出血", "Esophageal variceal bleeding"),
        ("drowsy but arousable", "Drowsiness"),
        ("4 mm of midline shift", "Midline shift"),
        ("burning with urination", "Dysuria"),
        ("rule out ICH", "Cerebral hemorrhage"),
        ("reciprocal ST depression", "ST depression"),
    ],
)
def test_signs_and_diseases_of_ward_notes_are_known(text: str, en: str) -> None:
    language = "zh" if not text.isascii() else "en"
    assert en in [m.term.en for m in mentions(text, language) if m.term]


@pytest.mark.parametrize(
    "text",
    [
        "未见疝内容物。",
        "术中出血约20ml。",
        "已告知防跌倒措施。",
        "降钙素原0.5ng/ml。",
        "GBS unknown.",
        "Fall risk: high.",
        "Neck dissection was performed.",
    ],
)
def test_words_that_only_hold_a_name_are_none(text: str) -> None:
    assert said(text) == {}


@pytest.mark.parametrize(
    "text", ["肝脾肋下未触及。", "肝肋下未触及，脾肋下未触及。", "腹软，NT/ND."]
)
def test_names_that_deny_by_themselves(text: str) -> None:
    found = said(text)
    assert found
    assert set(found.values()) == {"-"}
