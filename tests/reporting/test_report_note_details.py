"""Details, procedures and values of the notes in the report; the values are no results."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.profiles.conform import problems
from services.gateway.web.laboratory import laboratory
from services.kernel import fhir
from tests.reporting.told import H, case, coded, resources, result

pytestmark = pytest.mark.requirement("DX-REP-21")

NOTE = (
    "主诉：右膝关节剧烈疼痛3天。\n现病史：3天前出现右膝疼痛，逐渐加重。\n过敏史：青霉素过敏，表现为皮疹。\n"
    "个人史：吸烟20年，每日20支，已戒5年。\n家族史：父亲患糖尿病。\n"
    "体格检查：血压150/90mmHg，体温36.6℃。\n辅助检查：血钾6.8mmol/L，D-二聚体＜0.5mg/L。\n"
    "诊疗计划：拟行膝关节置换术。2019年行阑尾切除术。"
)


def parts_of(observation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["code"]["coding"][0]["code"]: each for each in observation["component"]}


def noted(kind: str) -> dict[str, dict[str, Any]]:
    """Observations of a kind of mention by what they are of."""
    found = coded(case(NOTE), "note-entity")[kind]
    return {each["valueCodeableConcept"]["text"]: each for each in found}


def values() -> dict[str, dict[str, Any]]:
    found = coded(case(NOTE), "note-entity")["measurement"]
    return {parts_of(each)["analyte"]["valueCodeableConcept"]["text"]: each for each in found}


def quoted(component: dict[str, Any]) -> str:
    """Return the words of the note at the place that a component names."""
    [span] = component["extension"]
    start, end = (
        next(p["valueInteger"] for p in span["extension"] if p["url"] == name)
        for name in ("start", "end")
    )
    return NOTE[start:end]


def test_relative_of_a_family_mention_is_coded() -> None:
    found = parts_of(noted("problem")["糖尿病"])
    assert found["other-person"]["valueBoolean"] is True
    [coding] = found["relative"]["valueCodeableConcept"]["coding"]
    assert coding == {
        "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
        "code": "FTH",
    }
    assert quoted(found["relative"]) == "父亲"


def test_details_are_components_with_their_places() -> None:
    painful = [
        parts_of(each)
        for each in coded(case(NOTE), "note-entity")["problem"]
        if "272741003" in parts_of(each)
    ]
    [coding] = painful[0]["272741003"]["valueCodeableConcept"]["coding"]
    assert (coding["system"], coding["code"]) == ("http://snomed.info/sct", "24028007")
    assert quoted(painful[0]["272741003"]) == "右"
    assert painful[0]["severity"]["valueCodeableConcept"]["text"] == "重度"
    smoking = next(parts for e in noted("problem").values() if "amount" in (parts := parts_of(e)))
    assert quoted(smoking["amount"]) == smoking["amount"]["valueString"]
    reaction = parts_of(noted("allergy")["青霉素"])["reaction"]
    assert reaction["valueCodeableConcept"]["text"] == "皮疹"


def test_procedures_say_whether_they_were_done() -> None:
    said = {
        name: parts_of(each)["assertion"]["valueCodeableConcept"]["text"]
        for name, each in noted("procedure").items()
    }
    assert "计划" in next(words for name, words in said.items() if "置换" in name)
    assert next(words for name, words in said.items() if "阑尾" in name) == "已施行"


def test_values_are_as_written_and_said_to_be_of_a_note() -> None:
    found = values()
    potassium = found["钾"] if "钾" in found else found["血钾"]
    assert potassium["code"]["text"].endswith("（病历所述）")
    assert str(potassium["valueQuantity"]["value"]) == "6.8"
    assert potassium["valueQuantity"]["unit"] == "mmol/L"
    assert next(e for e in found.values() if "150/90" in e.get("valueString", ""))
    assert next(e for e in found.values() if e.get("valueQuantity", {}).get("comparator") == "<")


def test_values_of_notes_are_never_taken_for_results() -> None:
    draft = case(NOTE, results=[result("k", "5.9", H)])
    observations = resources(draft, "Observation")
    stated = [
        each
        for each in observations
        if each["meta"]["profile"] == ["urn:dxmesh:fhir:StructureDefinition:stated-value"]
    ]
    assert len(stated) >= 4
    for each in stated:
        assert problems(each) == []
        assert {"interpretation", "referenceRange"}.isdisjoint(each)
        assert "tag" not in each["meta"]
        assert [c["system"] for c in each["code"]["coding"]] == ["urn:dxmesh:note-entity"]
    results, scores = laboratory(observations)
    assert [each.value for each in results] == ["5.9"]
    assert scores == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_everything_is_valid_in_both_languages(language: Any) -> None:
    draft = case(NOTE, language=language)
    for each in resources(draft, "Observation"):
        assert problems(each) == []
        assert fhir.problems(each) == []
