"""Doses and durations, as written and in both languages."""

from __future__ import annotations

import pytest

from services.nlp.doses import Dose, find
from tests.nlp.reading_of import mentions


def dose_of(text: str) -> tuple[str, Dose | None]:
    (mention,) = mentions(text)
    return mention.dose_written, mention.dose


@pytest.mark.requirement("DX-NLP-06")
@pytest.mark.parametrize(
    ("text", "written", "amount", "often"),
    [
        ("氨氯地平片 5mg 每日一次", "5mg 每日一次", "5mg", "once daily"),
        ("口服二甲双胍0.5g tid", "0.5g tid", "0.5g", "three times daily"),
        ("缬沙坦胶囊（80mg，每日1次）", "80mg，每日1次", "80mg", "once daily"),
        ("阿托伐他汀钙片每次20mg，每晚一次", "20mg，每晚一次", "20mg", "at night"),
        ("Lisinopril 10 mg p.o. daily", "10 mg p.o. daily", "10 mg", "once daily"),
        ("Metformin XR 500 mg twice a day", "500 mg twice a day", "500 mg", "twice daily"),
        ("Insulin glargine 10 units at bedtime", "10 units at bedtime", "10 units", "at night"),
        ("Albuterol 2 puffs every 4 hours", "2 puffs every 4 hours", "2 puffs", "every 4 hours"),
        ("aspirin 81mg", "81mg", "81mg", ""),
        ("aspirin daily", "daily", "", "once daily"),
    ],
)
def test_dose_is_found_as_written(text: str, written: str, amount: str, often: str) -> None:
    found, dose = dose_of(text)
    assert found == written
    assert dose is not None
    assert dose.amount == amount
    assert (dose.frequency.en if dose.frequency else "") == often


@pytest.mark.requirement("DX-NLP-06")
def test_dose_belongs_to_its_own_medication() -> None:
    found = mentions("aspirin and metoprolol 25 mg daily")
    assert [(each.written, each.dose_written) for each in found] == [
        ("aspirin", ""),
        ("metoprolol", "25 mg daily"),
    ]


def test_number_that_is_no_dose_is_left_alone() -> None:
    assert dose_of("He took aspirin 3 days ago.") == ("", None)


@pytest.mark.requirement("DX-NLP-06")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MEDICATIONS\nLefamulin 40 mg once", "Lefamulin"),
        ("MEDICATIONS\nUnithroid.", "Unithroid"),
        ("用药史：来法莫林片 40mg 每日一次", "来法莫林"),
    ],
)
def test_medication_in_no_table_is_found_by_its_place(text: str, name: str) -> None:
    (found,) = mentions(text)
    assert (found.kind.value, found.written, found.term) == ("medication", name, None)


@pytest.mark.parametrize("text", ["MEDICATIONS\nNone.", "MEDICATIONS\nReviewed.", "用药史：不详。"])
def test_section_of_medications_without_any_has_none(text: str) -> None:
    assert mentions(text) == ()


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("咳嗽3周", "3周", "3 weeks"),
        ("高血压病史10年", "10年", "10 years"),
        ("腹痛约2小时", "2小时", "2 hours"),
        ("头痛半年", "半年", "half a year"),
        ("Cough for 1 day", "1天", "1 day"),
        ("Fever x 3 days", "3天", "3 days"),
        ("Headache for the past two months", "2个月", "2 months"),
    ],
)
def test_duration_is_told_in_both_languages(text: str, zh: str, en: str) -> None:
    (mention,) = mentions(text)
    assert mention.lasts is not None
    assert (mention.lasts.words("zh"), mention.lasts.words("en")) == (zh, en)


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        (
            "albuterol 2 puffs every 4-6 hours as needed.",
            "每4~6小时一次，必要时",
            "every 4 to 6 hours as needed",
        ),
        ("morphine 2 mg IV q4h prn", "每4小时一次，必要时", "every 4 hours as needed"),
        ("acetaminophen 650 mg q 4 to 6 hrs prn", None, "every 4 to 6 hours as needed"),
        ("ceftriaxone 1 g every 24 hours", "每24小时一次", "every 24 hours"),
        ("布洛芬 0.2g 每6至8小时一次 必要时", "每6~8小时一次，必要时", None),
        ("quetiapine 25 mg once daily at bedtime", "每日一次，每晚一次", "once daily at night"),
        ("aspirin 81 mg daily once a day", "每日一次", "once daily"),
    ],
)
def test_every_part_of_how_often_is_kept(text: str, zh: str | None, en: str | None) -> None:
    dose = find(text, text.index(" ") + 1, len(text))
    assert dose is not None and dose.frequency is not None
    assert zh is None or dose.frequency.zh == zh
    assert en is None or dose.frequency.en == en
