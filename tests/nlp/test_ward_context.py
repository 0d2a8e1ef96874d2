"""What ward notes say of a mention where a first reading of whole notes went wrong."""

from __future__ import annotations

import pytest

from tests.nlp.reading_of import mentions, said

pytestmark = pytest.mark.requirement("DX-NLP-05")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("诸骨未见明显骨折。", {"骨折": "-"}),
        ("腹部未触及明显肿块、结节。", {"肿块": "-", "结节": "-"}),
        ("无明显咳嗽，无明显诱因出现发热。", {"咳嗽": "-", "发热": "+"}),
        ("胸痛未见明显缓解。", {"胸痛": "+"}),
        ("无恶心呕吐，肛门未排气，腹胀，肠鸣音弱。", {"恶心": "-", "腹胀": "+", "肠鸣音弱": "+"}),
        ("无触痛，脾大。", {"脾大": "+"}),
        ("抽搐时双眼上翻，当时无大小便失禁。", {"双眼上翻": "+", "大小便失禁": "-"}),
        ("PE低-中度可能，暂不支持。", {"PE": "?"}),
        ("急性左心衰首先考虑。", {"左心衰": "?"}),
        ("地塞米松促胎肺成熟已无必要。", {"地塞米松": "-"}),
        ("停经36+2周，头痛。", {"停经": None, "头痛": "+"}),
        ("停经40天，腹痛。", {"停经": "+", "腹痛": "+"}),
        ("孕早期恶心、呕吐明显。", {"恶心": "+h", "呕吐": "+h"}),
        ("幼儿园班上有手足口病患儿。", {"手足口病": "+o"}),
    ],
)
def test_chinese(text: str, expected: dict[str, str | None]) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Torsemide 40 mg daily (has not taken it for 10 days), hydralazine 25 mg daily.",
            {"hydralazine": "+"},
        ),
        ("Denies fever (had chills last week), cough.", {"fever": "-", "cough": "-"}),
        ("STOP taking: gemfibrozil, hydrochlorothiazide.", {"hydrochlorothiazide": "+h"}),
        ("Breast cancer s/p mastectomy 2019 on tamoxifen.", {"tamoxifen": "+"}),
        (
            "Meropenem was given and discontinued once blood cultures returned negative.",
            {"Meropenem": "+"},
        ),
        ("Dyspnea with negative D-dimer.", {"Dyspnea": "+"}),
        ("Heparin 5000 units SC for DVT prophylaxis.", {"Heparin": "+", "DVT": "?"}),
        ("ASA 81 mg daily - stopped at 32 wks.", {"ASA": "+h"}),
        ("Morphine held d/t sedation.", {"Morphine": "+h"}),
        (
            "Risks including bleeding, infection, recurrence, and chronic pain were discussed.",
            {"bleeding": "?", "chronic pain": "?"},
        ),
        ("Hx of HTN and gout c/o chest pressure x 2 hours.", {"chest pressure": "+"}),
        ("Denies possibility of pregnancy.", {"pregnancy": "-"}),
        ("Unable to assess CVA tenderness.", {"CVA tenderness": "?"}),
        (
            "She had a kidney infection last year while pregnant.",
            {"kidney infection": "+h", "pregnant": "+h"},
        ),
        ("Rh neg s/p RhIG at 28 weeks.", {"RhIG": "+h"}),
        ("Avoid NSAIDs.", {"NSAIDs": "?"}),
        (
            "Lungs are clear no murmurs his creatinine is up impression is hypoglycemia",
            {"murmurs": "-", "hypoglycemia": "+"},
        ),
        ("Stroke is felt to be less likely.", {"Stroke": "?"}),
        ("To IR for mechanical thrombectomy, pleural effusion resolved.", {"effusion": None}),
    ],
)
def test_english(text: str, expected: dict[str, str | None]) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected


def test_effusion_is_no_operation() -> None:
    (effusion,) = mentions("Interval resolution of the pleural effusion.")
    assert effusion.said.resolved


def test_what_stands_in_lines_under_a_chief_complaint_is_the_illness() -> None:
    text = (
        "主诉：发热2天，抽搐1次。\n"
        "患儿2天前受凉后出现发热，体温最高39.8℃，伴流涕、轻咳，无喘息、呕吐、腹泻，精神可。"
    )
    found = mentions(text, "zh")
    assert [m.section.value for m in found if m.written == "流涕"] == ["present_history"]
    assert found[0].section.value == "chief_complaint"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HPI: Chest pain. Used cocaine yesterday.", {"Used cocaine": "+"}),
        ("患者胸痛。年轻时曾吸烟，已戒20年。", {"吸烟": "+h"}),
        ("PLAN: counselled to avoid tobacco smoke.", {"tobacco": None}),
    ],
)
def test_a_habit_is_told_with_the_illness(text: str, expected: dict[str, str | None]) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected
