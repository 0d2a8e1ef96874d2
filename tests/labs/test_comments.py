"""What a laboratory wrote beside a result is read for the state of the specimen, and shown."""

from __future__ import annotations

from typing import Any

import pytest

from services.kernel.fhir import Number
from services.labs import comments, panel
from services.labs.findings import findings


def said(text: str) -> set[str]:
    return {each.reason for each in comments.remarks(text)}


@pytest.mark.requirement("DX-LAB-130")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("溶血", "SPECIMEN_HAEMOLYSED"),
        ("标本重度溶血,结果仅供参考", "SPECIMEN_HAEMOLYSED"),
        ("标本溶血,无法检测", "SPECIMEN_HAEMOLYSED"),
        ("标本不合格:溶血", "SPECIMEN_HAEMOLYSED"),
        ("Sample grossly haemolysed.", "SPECIMEN_HAEMOLYSED"),
        ("hemolyzed", "SPECIMEN_HAEMOLYSED"),
        ("标本有凝块", "SPECIMEN_CLOTTED"),
        ("标本凝固", "SPECIMEN_CLOTTED"),
        ("血小板聚集", "SPECIMEN_CLOTTED"),
        ("Clotted specimen", "SPECIMEN_CLOTTED"),
        ("platelet clumps seen on film", "SPECIMEN_CLOTTED"),
        ("重度脂血", "SPECIMEN_LIPAEMIC"),
        ("乳糜血", "SPECIMEN_LIPAEMIC"),
        ("lipemic", "SPECIMEN_LIPAEMIC"),
        ("标本黄疸", "SPECIMEN_ICTERIC"),
        ("Icteric serum", "SPECIMEN_ICTERIC"),
        ("标本量不足", "SPECIMEN_INSUFFICIENT"),
        ("QNS", "SPECIMEN_INSUFFICIENT"),
        ("quantity not sufficient", "SPECIMEN_INSUFFICIENT"),
        ("疑似输液污染", "SPECIMEN_CONTAMINATED"),
        ("contaminated", "SPECIMEN_CONTAMINATED"),
        ("复查已核实", "RESULT_VERIFIED"),
        ("已复查", "RESULT_VERIFIED"),
        ("复查结果一致", "RESULT_VERIFIED"),
        ("Verified by repeat", "RESULT_VERIFIED"),
        ("rechecked", "RESULT_VERIFIED"),
    ],
)
def test_the_state_of_a_specimen_is_read(text: str, reason: str) -> None:
    assert said(text) == {reason}


@pytest.mark.requirement("DX-LAB-130")
@pytest.mark.parametrize(
    "text",
    [
        *("无溶血", "未见溶血及脂血", "标本无凝块", "溶血阴性", "no haemolysis", "not hemolyzed"),
        *(
            "抗链球菌溶血素",
            "溶血性贫血",
            "溶血指数",
            "凝固时间延长",
            "凝固酶阴性葡萄球菌",
            "高脂血症",
        ),
        *("血小板聚集率", "乳糜尿", "建议复查确认", "请复查核实", "如有溶血请重采", "待复核确认"),
        *("clot retraction", "clotting time prolonged", "renal insufficiency", "hyperlipemia"),
        *("please repeat if haemolysed", "coagulase negative", "黄疸待查", "", "结果仅供参考"),
    ],
)
def test_what_denies_asks_or_means_another_thing_says_nothing(text: str) -> None:
    assert said(text) == set()


def potassium(**more: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "valueQuantity": {"value": Number("6.8"), "unit": "mmol/L"},
    }
    return made | more


@pytest.mark.requirement("DX-LAB-130")
def test_a_result_keeps_its_flag_and_says_what_was_written() -> None:
    notes = [{"text": "标本溶血"}, {"text": "已复查"}]
    document = {
        "subject": {"sex": "male", "age_years": 50},
        "observations": [potassium(note=notes), potassium(status="corrected")],
        "comments": [{"text": "hemolyzed", "results": ["lab-1", "lab-2"]}],
    }
    found = findings(panel.of_document(document))
    first, second = found.results
    plain = findings(panel.of_document(document | {"observations": [potassium()]})).results[0]
    assert first.flag == plain.flag and first.flag
    assert list(first.comments) == ["标本溶血", "已复查"]
    assert [each.reason for each in first.remarks] == ["SPECIMEN_HAEMOLYSED", "RESULT_VERIFIED"]
    assert [each.reason for each in second.remarks] == ["RESULT_CORRECTED"]
    (whole,) = found.comments
    assert whole.text == "hemolyzed" and list(whole.observation_ids) == ["lab-1", "lab-2"]
    assert [each.reason for each in whole.remarks] == ["SPECIMEN_HAEMOLYSED"]


@pytest.mark.requirement("DX-LAB-130")
@pytest.mark.parametrize("note", [None, 5, [5], [{}], [{"text": 5}]])
def test_malformed_comments_are_none(note: Any) -> None:
    document = {"subject": {}, "observations": [potassium(note=note)], "comments": note}
    found = findings(panel.of_document(document))
    assert not found.results[0].comments and not found.comments
