"""What a laboratory wrote beside its results reaches the analysis, and nobody's name with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.anonymization import comments, submission
from services.anonymization.known import KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"text": "赵铁柱"}]}


def result(name: str, **more: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "valueQuantity": {"value": 6, "unit": "mmol/L"},
        "basedOn": [{"reference": "ServiceRequest/s"}],
        "specimen": {"reference": "Specimen/b"},
    }
    return made | more


def document(*resources: dict[str, Any]) -> dict[str, Any]:
    """Return the labs document of a submission."""
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": each} for each in (PATIENT, *resources)],
    }
    read = submission.read(json.dumps(bundle).encode())
    hidden = Pseudonyms(KeyedHash(b"k" * 32), "subject")
    content, _ = submission.labs_part(read, read.known, hidden, {})
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.mark.requirement("DX-ID-15")
def test_a_comment_goes_on_without_names_numbers_and_dates() -> None:
    said = (
        "标本溶血，已于2026年11月26日10:30电话通知赵铁柱主管医师张建国，"
        "电话13812345678。建议重新采血"
    )
    found = document(result("a", note=[{"text": said}]))
    assert found["observations"][0]["note"] == [{"text": "标本溶血,…建议重新采血"}]
    for part in ("赵", "张", "138", "2026", "11月"):
        assert part not in json.dumps(found, ensure_ascii=False)


@pytest.mark.requirement("DX-ID-15")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("标本轻度溶血，结果仅供参考", "标本轻度溶血,结果仅供参考"),
        ("复查已核实", "复查已核实"),
        ("血小板聚集，建议用枸橼酸钠抗凝管", "血小板聚集,建议用枸橼酸钠抗凝管"),
        ("血小板聚集，建议换用枸橼酸钠抗凝管", "血小板聚集,建议换用枸橼酸钠抗凝管"),
        ("Sample haemolysed. Please send a fresh sample.", None),
        ("Haemolysed; K may be falsely high, repeat 5.9", None),
        ("Phoned to Dr White, rechecked", "… rechecked"),
        ("reviewed by May", ""),
        ("复查已核实 王医生", "复查已核实…"),
        ("王伟", ""),
        ("王伟复查", ""),
        ("高明", ""),
        ("qzxaciavkw", ""),
        ("住院号 20261234", ""),
        ("12-03 复查", ""),
        ("复查 K 6.8", "复查 K 6.8"),
    ],
)
def test_clauses_of_known_words_alone_go_on(said: str, kept: str | None) -> None:
    found = comments.own({"note": [{"text": said}]}, KnownStrings())
    expected = said if kept is None else kept
    assert found == ({"note": [{"text": expected.replace("，", ",")}]} if expected else {})


@pytest.mark.requirement("DX-ID-15")
def test_comments_of_orders_and_specimens_name_their_results() -> None:
    order = {"resourceType": "ServiceRequest", "id": "s", "note": [{"text": "复查已核实"}]}
    code = {"system": "http://terminology.hl7.org/CodeSystem/v2-0493", "code": "HEM"}
    blood = {"resourceType": "Specimen", "id": "b", "condition": [{"coding": [code]}]}
    other = result("c", basedOn=[], specimen={"reference": "Specimen/x"})
    found = document(order, blood, result("a"), result("b"), other)
    assert found["comments"] == [
        {"text": "复查已核实", "results": ["lab-1", "lab-2"]},
        {"text": "hemolyzed", "results": ["lab-1", "lab-2"]},
    ]
    assert "comments" not in document(order | {"note": []}, result("a"))


@pytest.mark.requirement("DX-ID-15")
def test_what_is_written_beside_a_sign_stays_behind() -> None:
    sign = [{"coding": [{"code": "vital-signs"}]}]
    found = document(result("a", category=sign, note=[{"text": "after a walk with his wife"}]))
    assert "note" not in found["observations"][0]


@pytest.mark.requirement("DX-ID-15")
@pytest.mark.parametrize("note", [None, "x", [None], [{}], [{"text": 5}], [{"text": " "}]])
def test_malformed_notes_are_none(note: Any) -> None:
    assert comments.own({"note": note}, KnownStrings()) == {}
