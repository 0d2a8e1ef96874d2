"""The summary tells the present illness by time, with the sides, doses and denials it has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.nlp import sides, tables, timeline
from services.nlp.context import Certainty
from services.nlp.headings import Section
from services.nlp.notes import Note
from services.nlp.reading import read
from services.nlp.sides import Side
from services.nlp.summary import ORDER, Sentence, summarize
from services.nlp.wording import WORDS

pytestmark = pytest.mark.requirement("DX-NLP-07")


def summary(text: str, language: str) -> list[Sentence]:
    return summarize([read(Note("note-1", language, text))], language)


def lines(text: str, language: str) -> list[str]:
    return [sentence.text for sentence in summary(text, language)]


def test_present_illness_is_told_from_the_oldest_time_on() -> None:
    text = (
        "现病史：1天前出现左侧胸痛，3天前无明显诱因发热，伴咳嗽，无头痛。起病以来无咯血。"
        "既往高血压10年。"
    )
    assert lines(text, "zh") == [
        "现病史：高血压（10年）。",
        "现病史，3天前：发热、咳嗽。",
        "现病史，3天前，否认或未见：头痛。",
        "现病史，1天前：胸痛（左侧）。",
        "现病史，起病以来，否认或未见：咯血。",
    ]


def test_time_behind_its_complaint_counts_in_english() -> None:
    text = "HPI: Cough started 2 weeks ago. Yesterday pain in the left knee. No fever."
    assert lines(text, "en") == [
        "Present illness, denied or absent: Fever.",
        "Present illness, 2 weeks ago: Cough.",
        "Present illness, yesterday: Pain (knee, left).",
    ]


def test_sentence_rests_on_its_time_and_its_side() -> None:
    text = "现病史：3天前左侧胸痛。"
    (sentence,) = summary(text, "zh")
    assert [text[each.start : each.end] for each in sentence.sources] == ["3天前", "左侧胸痛"]


@pytest.mark.parametrize(
    ("written", "zh", "en", "hours"),
    [
        ("３天前", "3天前", "3 days ago", 72),
        ("两周余前", "2周余前", "more than 2 weeks ago", 336),
        ("半年前", "半年前", "half a year ago", 4383),
        ("a week before admission", "1周前", "1 week ago", 168),
        ("last night", "昨晚", "last night", 12),
        ("近2月", "近2个月", "over the last 2 months", 1460),
        ("over the past two months", "近2个月", "over the last 2 months", 1460),
        ("18 November 2026", "2026-11-18", "2026-11-18", None),
        ("Nov 18, 2026", "2026-11-18", "2026-11-18", None),
        ("2026年1月5日", "2026-01-05", "2026-01-05", None),
    ],
)
def test_time_is_read_in_both_languages(written: str, zh: str, en: str, hours: float) -> None:
    (found,) = timeline.times(written, 0, len(written))
    assert (found.zh, found.en, found.hours, found.end) == (zh, en, hours, len(written))


@pytest.mark.parametrize("text", ["2026-13-05", "3 days", "天前", "12026-01-05", "nottoday"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert not [each for each in timeline.times(text, 0, len(text)) if each.zh[0] in "123"]


@pytest.mark.parametrize(
    ("text", "name", "side"),
    [
        ("左侧胸痛", "胸痛", Side.LEFT),
        ("双下肢水肿", "水肿", Side.BOTH),
        ("左、右膝痛", "痛", Side.RIGHT),
        ("左右两侧头痛", "头痛", Side.BOTH),
        ("左侧胸痛，咳嗽", "咳嗽", None),
        ("20分钟左右咳嗽", "咳嗽", None),
        ("左氧氟沙星后皮疹", "皮疹", None),
        ("pain in the right knee", "pain", Side.RIGHT),
        ("bilateral leg swelling", "swelling", Side.BOTH),
        ("left and right arm weakness", "weakness", Side.RIGHT),
        ("he left the hospital with cough", "cough", None),
        ("right now cough", "cough", None),
        ("left-handed, cough", "cough", None),
        ("pain, left leg weak", "pain", None),
    ],
)
def test_side_is_that_of_its_own_clause(text: str, name: str, side: Side | None) -> None:
    start = text.index(name)
    found = sides.find(text, start, start + len(name))
    assert (found.side if found else None) is side


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        (
            "Medications: Aspirin 81 mg daily, discontinued.",
            "en",
            "Aspirin 81 mg once daily (stopped)",
        ),
        ("Medications: aspirin, not discontinued.", "en", "Medications: Aspirin."),
        (
            "用药史：曾口服阿司匹林，已停用半年，现服二甲双胍。",
            "zh",
            "阿司匹林（已停用）、二甲双胍。",
        ),
        ("用药史：停用阿司匹林，改为氯吡格雷。", "zh", "阿司匹林（已停用）、氯吡格雷。"),
        ("用药史：二甲双胍0.5g，现改为二甲双胍1g。", "zh", "二甲双胍 0.5g；1g。"),
    ],
)
def test_medicine_that_was_stopped_or_changed_is_told_so(
    text: str, language: str, told: str
) -> None:
    assert told in " ".join(lines(text, language))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Allergies: Penicillin (rash). Tolerates cephalosporins.",
            "Allergies: Penicillin (Skin rash).",
        ),
        ("过敏史：对青霉素过敏，可耐受头孢。", "Allergies: Penicillin."),
        ("过敏史：食海鲜后皮疹，口服氯雷他定好转。", "Allergies: Seafood (Skin rash)."),
        ("既往體健。對青黴素過敏。", "Allergies: Penicillin."),
    ],
)
def test_what_is_borne_is_no_allergy(text: str, told: str) -> None:
    language = "en" if text.isascii() else "zh"
    found = summarize([read(Note("note-1", language, text))], "en")
    assert [each.text for each in found if each.section is Section.ALLERGIES] == [told]


def test_what_is_the_patients_own_is_not_lost_under_the_familys_heading() -> None:
    assert lines("家族史：父亲高血压。患者本人有糖尿病。", "zh") == [
        "家族史：高血压（父亲）。",
        "病历提及：糖尿病。",
    ]


def test_what_is_gone_is_told_as_gone() -> None:
    assert lines("现病史：咳嗽。头痛已消失。", "zh") == ["现病史：咳嗽。", "已缓解或消失：头痛。"]


def test_every_section_has_words_for_every_certainty() -> None:
    quoted = {Section.CHIEF_COMPLAINT, Section.ALLERGIES, Section.MEDICATIONS}
    needed = {f"{section.value}-{each.value}" for section in ORDER for each in Certainty}
    needed |= {f"present_history_at-{each.value}" for each in Certainty}
    needed |= {f"{section.value}-quoted" for section in quoted}
    assert needed - WORDS.keys() == set()
    assert all(row["zh"] and row["en"] for row in tables.rows("words") if row["key"] != "join")


COMPLAINTS = ("咳嗽", "胸痛", "头痛", "恶心", "腹痛", "乏力", "呼吸困难", "心悸")
CLAUSES = st.lists(
    st.tuples(
        st.sampled_from(COMPLAINTS),
        st.sampled_from(["", "左侧", "右侧"]),
        st.booleans(),
        st.one_of(st.just(0), st.integers(1, 30)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda clause: clause[0],
)


@given(clauses=CLAUSES)
@settings(max_examples=80)
def test_numbers_sides_and_denials_stay_with_their_owner(
    clauses: list[tuple[str, str, bool, int]],
) -> None:
    told = []
    for name, side, denied, days in clauses:
        when = f"{days}天前" if days else ""
        told.append(f"{when}{'无' if denied else '出现'}{side}{name}。")
    text = "现病史：" + "".join(told)
    found = summary(text, "zh")
    times: dict[str, int] = {}
    carried = 0  # a time goes on until the next, for what is there
    for name, _, denied, days in clauses:
        carried = days or carried
        times[name] = days if denied else carried
    assert set(re.findall(r"\d+", "".join(each.text for each in found))) <= set(
        re.findall(r"\d+", text)
    )
    for name, side, denied, _ in clauses:
        (sentence,) = [each.text for each in found if name in each.text]
        assert ("否认" in sentence) is denied
        item = next(part for part in re.split("[：、。]", sentence) if name in part)
        assert ("左" in item, "右" in item) == (side == "左侧", side == "右侧")
        assert (f"{times[name]}天前" in sentence) is bool(times[name])


def test_a_time_ends_with_its_paragraph() -> None:
    text = (
        "HPI: A cough began 3 weeks ago. It got worse.\n\n"
        "Regarding his heart failure, he is watching his diet."
    )
    told = lines(text, "en")
    assert "Present illness, 3 weeks ago: Cough." in told
    assert not any("3 weeks" in line and "heart failure" in line.lower() for line in told)


def test_the_day_of_the_visit_is_no_onset() -> None:
    told = lines("HPI: A man with asthma who presents today with cough.", "en")
    assert told == ["Present illness: Asthma, Cough."]
    assert "Present illness, today: Cough." in lines("HPI: He began to cough today.", "en")
