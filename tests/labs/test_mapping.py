"""Which analyte a result is: by LOINC, by the tenant's table, by name with specimen and unit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import InvalidInput
from services.labs import analytes, folding, local_codes, matching, nearest, panel, qualitative
from services.labs.findings import findings
from services.labs.interpret import Result, Site, interpret

LOINC_DIGIT = 10


def named(
    name: str, value: object = 5, unit: str = "", specimen: str = "", **more: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "o", "status": "final", "code": {"text": name}, **more}
    if isinstance(value, str):
        made["valueString"] = value
    else:
        made["valueQuantity"] = {"value": value, "unit": unit}
    if specimen:
        made["specimen"] = {"display": specimen}
    return made


def one(observation: dict[str, Any], site: Site | None = None) -> Result:
    part = panel.read(json.dumps({"subject": {}, "observations": [observation]}).encode())
    (result,) = interpret(part.measured, part.subject, site=site or Site())
    return result


@pytest.mark.requirement("DX-LDU-02")
def test_the_dictionary_has_both_languages_and_confirmed_codes() -> None:
    things = [*analytes.ANALYTES.values(), *qualitative.BY_ID.values()]
    assert len(analytes.ANALYTES) >= 250
    assert all(each.name_en and each.name_zh for each in things)
    assert all(code.source for code in analytes.CODES.values())
    for loinc in (*analytes.CODES, *qualitative.TESTS):
        number, digit = loinc.split("-")
        doubled = (int(d) * (1 + (place % 2 == 0)) for place, d in enumerate(reversed(number)))
        assert -sum(d // 10 + d % 10 for d in doubled) % LOINC_DIGIT == int(digit), loinc


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("name", "unit", "specimen", "expected"),
    [
        ("白细胞计数", "×10⁹/L", "", "wbc"),
        ("WBC", "10^9/L", "", "wbc"),
        ("白细胞(WBC)", "10^9/L", "", "wbc"),
        ("白細胞計數", "10*9/L", "全血", "wbc"),
        ("白细胞", "个/HP", "", "urine-wbc-hpf"),
        ("ＷＢＣ", "/μl", "尿液", "urine-wbc-count"),
        ("谷丙转氨酶", "U/L", "", "alt"),
        ("丙氨酸氨基转移酶（ALT）", "IU/L", "血清", "alt"),
        ("GPT", "U/L", "", "alt"),
        ("★肌酐(CREA)", "μmol/L", "", "creatinine"),
        ("肌酐", "umol/L", "血清", "creatinine"),
        ("肌酐", "mmol/L", "随机尿", "urine-creatinine"),
        ("血清钾测定", "mmol/L", "", "k"),
        ("血鉀", "mmol/L", "", "k"),
        ("葡萄糖", "mmol/L", "血清", "glucose"),
        ("葡萄糖", "mmol/L", "脑脊液", "csf-glucose"),
        ("Glucose, urine", "mmol/L", "", "urine-glucose"),
        ("Sodium [Moles/volume] in Serum or Plasma", "mmol/L", "", "na"),
        ("PCT", "ng/mL", "", "procalcitonin"),
        ("PCT", "%", "", "plateletcrit"),
        ("TG", "mmol/L", "", "triglycerides"),
        ("TG", "ng/mL", "", "thyroglobulin"),
        ("中性粒细胞", "%", "", "neut-pct"),
        ("中性粒细胞", "10^9/L", "", "neut"),
        ("pH", "", "动脉血", "ph"),
        ("pH", "", "尿", "urine-ph"),
        ("动脉血pH", "", "", "ph"),
        ("动脉血pH", "", "全血", "ph"),
        ("动脉血pH值", "", "全血", "ph"),
        ("arterial blood pH", "", "Blood", "ph"),
        ("Arterial pH", "", "whole blood", "ph"),
        ("动脉血氧分压", "mmHg", "全血", "po2"),
        ("动脉血二氧化碳分压", "mmHg", "全血", "pco2"),
        ("arterial pCO2", "mmHg", "Blood", "pco2"),
        ("静脉血pH", "", "全血", "ph-venous"),
        ("血清钾", "mmol/L", "全血", "k"),
        ("D-二聚体", "mg/L FEU", "", "d-dimer-feu"),
        ("CK-MB", "U/L", "", "ck-mb-activity"),
        ("CK-MB", "ng/mL", "", "ck-mb"),
        ("胰岛素", "pmol/L", "", "insulin-molar"),
        ("糖化血红蛋白", "mmol/mol", "", "hba1c-ifcc"),
        ("γ-谷氨酰转移酶", "U/L", "", "ggt"),
    ],
)
def test_a_name_is_matched_with_specimen_and_unit(
    name: str, unit: str, specimen: str, expected: str
) -> None:
    result = one(named(name, 7.4, unit, specimen))
    assert (result.name, result.how) == (expected, "name")


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("name", "value", "specimen", "expected"),
    [
        ("尿蛋白", "2+", "", "urine-protein-strip"),
        ("葡萄糖", "阴性", "尿", "urine-glucose-strip"),
        ("HBsAg", "阳性", "", "hbsag"),
        ("HBsAg", "0.01 IU/mL", "", "hbsag-quantity"),
        ("隐血", "弱阳性(+)", "尿液", "urine-blood-strip"),
        ("HBV-DNA", "低于检测下限", "", "hbv-dna-presence"),
    ],
)
def test_the_kind_of_value_tells_test_from_quantity(
    name: str, value: str, specimen: str, expected: str
) -> None:
    assert one(named(name, value, specimen=specimen)).name == expected


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("name", "unit", "specimen", "reason"),
    [
        ("葡萄糖", "mmol/L", "", "AMBIGUOUS_ANALYTE"),
        ("葡萄糖", "mmol/L", "羊水", "UNKNOWN_CODE"),
        ("肌酐", "U/L", "", "UNKNOWN_CODE"),
        ("白细胞计数(复查)", "10^9/L", "", "UNKNOWN_CODE"),
        ("钾通道抗体", "mmol/L", "", "UNKNOWN_CODE"),
        ("血清某物", "g/L", "", "UNKNOWN_CODE"),
        ("", "g/L", "", "UNKNOWN_CODE"),
    ],
)
def test_what_is_not_certain_is_not_matched_and_names_the_nearest(
    name: str, unit: str, specimen: str, reason: str
) -> None:
    result = one(named(name, 5, unit, specimen))
    assert result.reason is not None and result.reason.reason == reason
    assert result.name == "" and result.flag is None
    facts = result.reason.facts
    if name[:2] in ("葡萄", "肌酐", "白细", "钾通"):
        assert set(facts) == {"nearest_1", "nearest_2", "nearest_3"}
    assert (
        not name or all(name not in each for each in facts.values()) or name in ("葡萄糖", "肌酐")
    )


@pytest.mark.requirement("DX-LDU-02")
def test_an_unknown_loinc_code_is_not_replaced_by_its_name() -> None:
    coding = {"system": "http://loinc.org", "code": "9999-1", "display": "Creatinine"}
    result = one(named("肌酐", 80, "umol/L") | {"code": {"coding": [coding], "text": "肌酐"}})
    assert result.reason and result.reason.reason == "UNKNOWN_CODE"
    assert "14682-9" in result.reason.facts["nearest_1"]


@pytest.mark.requirement("DX-LDU-02")
def test_a_match_by_name_is_told_in_the_findings() -> None:
    document = {
        "subject": {},
        "observations": [named("胃泌素17", 5, "pmol/L"), named("K", 4, "mmol/L")],
    }
    found = findings(panel.read(json.dumps(document).encode())).results
    assert [each.matched_by for each in found] == [pb.MATCHED_BY_NAME] * 2
    assert [(each.analyte_id, each.loinc_code) for each in found] == [
        ("gastrin-17", ""),
        ("k", "2823-3"),
    ]
    assert found[1].display_zh == "钾"


def row(**cells: str) -> dict[str, str]:
    return dict.fromkeys(local_codes.COLUMNS, "") | cells


@pytest.mark.requirement("DX-LDU-03")
def test_the_tenants_table_goes_before_names() -> None:
    table = local_codes.load(
        [
            row(system="urn:lis", code="K01", loinc="2828-2"),
            row(code="CR", analyte="creatinine"),
            row(name="特检甲", specimen="血清", loinc="14682-9"),
            row(name="特检乙", analyte="hbsag"),
        ]
    )
    site = Site(table)
    coded = {"code": {"coding": [{"system": "urn:lis", "code": "K01"}], "text": "血钾"}}
    result = one(named("血钾", 30, "mmol/L") | coded, site)
    assert (result.name, result.how) == ("urine-k", "tenant")
    other = {"code": {"coding": [{"system": "urn:else", "code": "K01"}], "text": "血钾"}}
    assert one(named("血钾", 4, "mmol/L") | other, site).name == "k"
    plain = {"code": {"coding": [{"code": "CR"}]}}
    assert one(named("", 1.1, "mg/dL") | plain, site).shown == "97.24"
    assert one(named("特检甲", 90, "umol/L", "血清"), site).name == "creatinine"
    assert one(named("特检甲", 90, "umol/L"), site).name == ""
    assert one(named("特检乙", "阴性"), site).name == "hbsag"


@pytest.mark.requirement("DX-LDU-03")
@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"code": "X", "loinc": "1-8"}, "not a code of the dictionary"),
        ({"code": "X"}, "both empty"),
        ({"loinc": "2823-3"}, "code and name are both empty"),
        ({"code": "X", "analyte": "nothing"}, "not one of the dictionary"),
        ({"code": "X", "loinc": "2823-3", "analyte": "na"}, "a code of k"),
        ({"name": "X", "specimen": "cheese", "loinc": "2823-3"}, "specimen"),
        ({"code": "A", "loinc": "2823-3"}, "another meaning"),
    ],
)
def test_a_table_with_a_wrong_row_is_refused_by_row(cells: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        local_codes.load([row(code="A", loinc="2951-2"), row(**cells)])
    assert refused.value.violations[0].path == "row 2"
    assert problem in refused.value.violations[0].problem


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.text(max_size=12), st.text(max_size=8))
def test_any_name_is_matched_or_refused_the_same_way_twice(
    name: str, unit: str, specimen: str
) -> None:
    first, second = (one(named(name, 5, unit, specimen)) for _ in range(2))
    assert first.name == second.name and folding.fold(folding.fold(name)) == folding.fold(name)
    if first.reason:
        assert second.reason and first.reason.facts == second.reason.facts
    assert nearest.to((name,), "", "") == nearest.to((name,), "", "")
    assert len(nearest.to((name,), "", "")) <= nearest.KEPT


def test_every_entry_is_found_by_its_own_names() -> None:
    for name, things in matching.NAMES.items():
        assert name and things
    for analyte in analytes.ANALYTES.values():
        ids = [e.thing.analyte_id for e in matching.NAMES[folding.fold(analyte.name_zh)]]
        assert analyte.analyte_id in ids
