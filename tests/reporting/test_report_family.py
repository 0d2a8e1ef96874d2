"""Family history of the notes as FamilyMemberHistory: whom, what, and the mention it rests on."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.profiles.conform import problems
from services.gateway.signing import Signature, sign
from services.kernel import fhir
from services.reporting.compose import compose
from tests.reporting.told import case, in_english, resources

NOTE = (
    "现病史：咳嗽3天。\n家族史：父亲患高血压、2型糖尿病，母亲曾患乳腺癌。"
    "否认家族性精神病史。姐姐疑似甲状腺功能亢进。"
)


def family(text: str, *, english: bool = False) -> list[dict[str, Any]]:
    draft = case(text)
    return resources(in_english(draft) if english else draft, "FamilyMemberHistory")


def told(text: str) -> dict[str, list[str]]:
    return {
        each["relationship"]["coding"][0]["code"]: [c["code"]["text"] for c in each["condition"]]
        for each in family(text)
    }


@pytest.mark.requirement("DX-REP-24")
def test_each_relative_is_told_once_with_what_is_affirmed() -> None:
    assert told(NOTE) == {"FTH": ["高血压", "2型糖尿病"], "MTH": ["乳腺癌"]}


@pytest.mark.requirement("DX-REP-24")
@pytest.mark.parametrize(
    "text", ["家族史：否认高血压家族史。", "现病史：高血压5年。", "室友患流感。"]
)
def test_what_is_denied_the_patients_own_or_of_no_family_makes_none(text: str) -> None:
    assert family(text) == []


@pytest.mark.requirement("DX-REP-24")
@pytest.mark.parametrize("english", [False, True])
def test_it_conforms_and_rests_on_its_mentions(english: bool) -> None:
    found = family(NOTE, english=english)
    draft = case(NOTE)
    mentions = {f"Observation/{each['id']}": each for each in resources(draft, "Observation")}
    for each in found:
        assert fhir.problems(each) == [] and problems(each) == []
        assert each["status"] == "partial" and each["patient"]["reference"].startswith("Patient/")
        for condition in each["condition"]:
            [evidence] = condition["extension"]
            place = evidence["valueReference"]["reference"]
            parts = [c["code"]["coding"][0]["code"] for c in mentions[place]["component"]]
            assert "other-person" in parts
    assert found[0]["relationship"]["text"] == ("Father" if english else "父亲")


@pytest.mark.requirement("DX-REP-24")
def test_after_a_signature_a_clinician_asserts_it_and_it_stays_partial() -> None:
    bundle = fhir.parse(fhir.dump(compose(case(NOTE)).bundle))
    signature = Signature("d-1", "医师", "", "2026-11-25T10:00:00.000Z", False, "zh", "", {})
    signed = sign(bundle, signature, {})
    found = [e["resource"] for e in signed["entry"]]
    for each in (r for r in found if r["resourceType"] == "FamilyMemberHistory"):
        assert [label["code"] for label in each["meta"]["security"]] == ["CLINAST"]
        assert each["status"] == "partial" and problems(each) == []
