"""Sides and sizes of ward notes: one reading of sides for details, summary and contradictions."""

from __future__ import annotations

import pytest

from services.nlp.details import DetailKind
from tests.nlp.reading_of import mentions, the_text

pytestmark = pytest.mark.requirement("DX-NLP-05")


def told(text: str, name: str, kind: DetailKind) -> list[str]:
    """Return what a note says of a mention, in one respect."""
    (found,) = (each for each in mentions(text) if each.written == name)
    return [the_text(text, each) for each in found.details if each.kind is kind]


@pytest.mark.parametrize(
    ("text", "name", "side"),
    [
        ("L calf swelling for 5 days.", "calf swelling", ["L"]),
        ("R femoral DVT.", "DVT", ["R"]),
        ("Needed 4 L oxygen, leg swelling.", "leg swelling", []),
        ("RR 24, HR 118, wheezes.", "wheezes", []),
        ("L arm/leg weakness.", "weakness", ["L"]),
        ("右肺上叶尖段见一不规则软组织密度结节影。", "结节", ["右"]),
        ("左侧胸腔未见积液。", "积液", ["左侧"]),
        ("右侧肢体无力、言语含糊。", "言语含糊", []),
        ("Left-sided chest pain, right knee pain.", "pain", ["right"]),
    ],
)
def test_side(text: str, name: str, side: list[str]) -> None:
    assert told(text, name, DetailKind.SIDE) == side


@pytest.mark.parametrize(
    ("text", "name", "size"),
    [
        ("右肺上叶结节，大小约23mm×18mm，边缘毛刺。", "右肺上叶结节", ["23mm×18mm"]),
        ("腹壁静脉曲张，无压痛，脾肋下3cm。", "腹壁静脉曲张", []),
        ("神志清，构音障碍，双侧瞳孔等大等圆，直径3mm。", "构音障碍", []),
        ("距乳头3cm外上象限见一肿块，大小2.5cm×2.0cm。", "肿块", ["2.5cm×2.0cm"]),
        ("奔马律，右小腿周径38cm，左小腿34cm。", "奔马律", []),
        ("Indirect hernia sac with a 10 cm loop of small bowel.", "hernia", []),
        ("JVP elevated to 14 cm.", "JVP elevated", []),
        ("Hematoma in the right temporal lobe, measuring up to 9 mm.", "Hematoma", ["9 mm"]),
        ("There is a 14 mm nodule in the thyroid.", "nodule", ["14 mm"]),
    ],
)
def test_size(text: str, name: str, size: list[str]) -> None:
    assert told(text, name, DetailKind.SIZE) == size
