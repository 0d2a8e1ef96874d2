"""Result lines as Chinese and English hospitals send them: odd names, units and values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.labs import analytes, counterparts, panel, specimens, units, values
from services.labs.interpret import Flag, Result, interpret
from services.labs.reasons import UnitDoubted

WOMAN = {"sex": "female", "age_years": 46}


def read(name: str, value: object, unit: str = "", specimen: str = "", own: str = "") -> Result:
    """Return how one line is interpreted; a number is a Quantity, a text a string."""
    line: dict[str, Any] = {"id": "o", "status": "final", "code": {"text": name}}
    if isinstance(value, str):
        line["valueString"] = value
    elif isinstance(value, tuple):
        one, many = value
        line["valueRatio"] = {"numerator": {"value": one}, "denominator": {"value": many}}
    else:
        line["valueQuantity"] = {"value": value, "unit": unit}
    if specimen:
        line["specimen"] = {"display": specimen}
    if own:
        line["referenceRange"] = [{"text": own}]
    return interpreted(line)


def interpreted(line: dict[str, Any]) -> Result:
    part = panel.read(json.dumps({"subject": WOMAN, "observations": [line]}).encode())
    (result,) = interpret(part.measured, part.subject)
    return result


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("name", "value", "unit", "specimen", "analyte", "shown"),
    [
        ("中性粒细胞百分率", 85.2, "%", "全血", "neut-pct", "85.2"),
        ("White Cell Count", 12.5, "K/uL", "Blood", "wbc", "12.5"),
        ("White cells", 250, "/cumm", "CSF", "csf-wbc", "250"),
        ("WBC", 0.8, "x10E3/uL", "Blood", "wbc", "0.8"),
        ("NRBC", 2.5, "/100 WBC", "Blood", "nrbc-pct", "2.5"),
        ("Free T4", 3.2, "ng/dL", "Serum", "ft4", "41.19"),
        ("Ketones", 4.5, "mmol/L", "", "", ""),
        ("Neutrophil count", 400, "/uL", "Blood", "neut", "0.4"),
        ("Adjusted Calcium", 3.1, "mmol/L", "Serum", "ca-corrected", "3.1"),
        ("Alk Phos", 310, "U/L", "Serum", "alp", "310"),
        ("Troponin T (hs)", 64, "ng/L", "Serum", "hs-troponin-t", "64"),
        ("Lithium", 1.9, "mEq/L", "Serum", "lithium", "1.9"),
        ("葡萄糖", 126, "mg%", "血清", "glucose", "6.994"),
        ("尿素氮", 18, "mg%", "血清", "urea", "6.425"),
        ("Haemoglobin", 9.8, "g%", "Blood", "hgb", "98"),
        ("血小板", 85000, "/mm3", "", "plt", "85"),
        ("尿微量白蛋白/尿肌酐", 3.5, "mg/mmol", "尿", "urine-acr", "30.94"),
        ("Protein/Creatinine ratio", 120, "mg/mmol", "Urine", "urine-pcr", "1061"),
        ("尿白蛋白/肌酐", 31, "mg/g", "尿", "urine-acr", "31"),
        ("pH值", 6.0, "", "尿", "urine-ph", "6"),
        ("D-二聚体", 1850, "ng/mL", "血浆", "d-dimer", "1.85"),
        ("D-二聚体", 1.85, "mg/L FEU", "血浆", "d-dimer-feu", "1.85"),
        ("溶血指数", 180, "", "血清", "haemolysis-index", "180"),
        ("HBV-DNA", "1.25E+05 copies/mL", "", "血清", "hbv-dna-copies", "1.25E+05"),
        ("HBV-DNA", "1.2×10^5 IU/mL", "", "血清", "hbv-dna", "1.2E5"),
        ("尿红细胞", "3-5 个/HP", "", "尿", "urine-rbc-hpf", "3-5"),
    ],
)
def test_a_line_is_what_it_says(
    name: str, value: object, unit: str, specimen: str, analyte: str, shown: str
) -> None:
    result = read(name, value, unit, specimen)
    assert (result.name, result.shown.removesuffix(".0")) == (analyte, shown), result.reason


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("name", "value", "specimen", "own", "analyte", "flag"),
    [
        ("抗核抗体(ANA)", "1:320", "血清", "<1:100", "ana-titre", Flag.HIGH),
        ("抗核抗体", "<1:100", "血清", "<1:100", "ana-titre", Flag.NORMAL),
        ("抗核抗体", (1, 80), "血清", "", "ana-titre", Flag.HIGH),
        ("抗核抗体", (1, 40), "血清", "", "ana-titre", Flag.NORMAL),
        ("ANA", "1:320 颗粒型", "血清", "", "ana-titre", Flag.HIGH),
        ("抗核抗体", "阳性 1:320 颗粒型", "血清", "", "ana", Flag.ABNORMAL),
        ("ANA", "Positive 1:640 speckled", "Serum", "", "ana", Flag.ABNORMAL),
        ("RPR", "1:32", "Serum", "", "rpr-titre", Flag.ABNORMAL),
        ("RPR titre", "1:8", "Serum", "", "rpr-titre", Flag.ABNORMAL),
        ("TRUST", "阳性(1:8)", "血清", "", "syphilis-rpr", Flag.ABNORMAL),
        ("HBV-DNA", "未检出", "血清", "", "hbv-dna-presence", Flag.NORMAL),
        ("HCV-RNA", "低于检测下限", "血清", "", "hcv-rna-presence", Flag.NORMAL),
        ("Protein", "Trace", "Urine", "", "urine-protein-strip", Flag.ABNORMAL),
        ("溶血指数", "3+", "血清", "", "haemolysis", Flag.ABNORMAL),
        ("Haemolysis index", "-", "Serum", "", "haemolysis", Flag.NORMAL),
    ],
)
def test_a_dilution_and_an_answer_are_read_under_either_name(
    name: str, value: object, specimen: str, own: str, analyte: str, flag: Flag
) -> None:
    result = read(name, value, "", specimen, own)
    assert (result.name, result.flag) == (analyte, flag), result.reason


def coded(loinc: str, **value: Any) -> Result:
    code = {"coding": [{"system": "http://loinc.org", "code": loinc}]}
    return interpreted({"id": "o", "status": "final", "code": code} | value)


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("loinc", "value", "analyte", "flag"),
    [
        ("2888-6", "3+", "urine-protein-strip", Flag.ABNORMAL),
        ("2888-6", "阴性", "urine-protein-strip", Flag.NORMAL),
        ("5048-4", "阴性", "ana-titre", Flag.NORMAL),
        ("5048-4", "阳性", "ana", Flag.ABNORMAL),
        ("8061-4", "1:320", "ana-titre", Flag.HIGH),
        ("2823-3", "阳性", "k", None),
    ],
)
def test_a_strip_under_the_code_of_a_quantity(
    loinc: str, value: str, analyte: str, flag: Flag | None
) -> None:
    result = coded(loinc, valueString=value)
    assert (result.name, result.flag) == (analyte, flag)


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("text", "unusable"),
    [
        ("标本溶血", True),
        ("标本量不足", True),
        ("凝固", True),
        ("Haemolysed", True),
        ("Hemolyzed specimen", True),
        ("QNS", True),
        ("不凝固", False),
        ("无溶血", False),
        ("not haemolysed", False),
        ("溶血 6.5", False),
        ("阳性", False),
        ("", False),
    ],
)
def test_a_specimen_that_could_not_be_used_is_said(text: str, unusable: bool) -> None:
    assert specimens.unusable(text) is unusable
    if unusable:
        results = read("钾", text), read("HBsAg", text)
        assert [each.reason.reason if each.reason else "" for each in results] == [
            "SPECIMEN_UNUSABLE",
            "SPECIMEN_UNUSABLE",
        ]


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("1.25E+05", "125000", ""),
        ("1.2×10^5 copies/mL", "120000", "copies/mL"),
        ("1.2x10⁵", "120000", ""),
        ("5.2×10^9/L", "5.2", "×10^9/L"),
        ("5.2 ×10⁹/L", "5.2", "×109/L"),
        ("<5.0E1 IU/mL", "50", "IU/mL"),
    ],
)
def test_powers_of_ten_are_read_where_they_are_no_unit(text: str, number: str, unit: str) -> None:
    found = values.read(text)
    assert found and f"{found.number:f}" == number
    assert found.unit == unit or units.to_ucum(found.unit) == units.to_ucum(unit)


@pytest.mark.requirement("DX-LDU-04")
def test_a_ratio_to_creatinine_needs_no_annotation() -> None:
    acr = analytes.ANALYTES["urine-acr"]
    for ucum in ("mg/g", "ug/mg", "mg/mmol"):
        code = analytes.code_for(acr, units.read(ucum))
        noted = analytes.code_for(acr, units.read(f"{ucum}{{creat}}"))
        assert code and noted
        assert analytes.factor(units.read(ucum), code) == analytes.factor(
            units.read(f"{ucum}{{creat}}"), noted
        )
    assert analytes.code_for(acr, units.read("mg/L")) is None


@pytest.mark.requirement("DX-LDU-01")
def test_counterparts_are_of_the_dictionary() -> None:
    assert counterparts.REACTIVE <= counterparts.TESTS.keys() <= analytes.ANALYTES.keys()


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("name", "unit", "shown"),
    [
        ("尿素氮", "mg/dL", "14.28"),
        ("BUN", "mg/dL", "14.28"),
        ("Urea Nitrogen", "mg/dL", "14.28"),
        ("尿素", "mmol/L", "40"),
        ("尿素", "mg/dL", ""),
        ("Urea", "mg/dL", ""),
    ],
)
def test_urea_by_mass_is_not_taken_for_its_nitrogen(name: str, unit: str, shown: str) -> None:
    result = read(name, 40, unit, "血清")
    assert result.shown == shown
    assert bool(shown) is not (
        result.reason is not None and result.reason.reason == "AMBIGUOUS_ANALYTE"
    )


@pytest.mark.requirement("DX-LDU-02")
def test_lactate_dehydrogenase_the_other_way_is_not_held_to_the_same_range() -> None:
    value = {"value": 380, "unit": "U/L"}
    forward, backward = coded("14804-9", valueQuantity=value), coded("14805-6", valueQuantity=value)
    assert (forward.flag, backward.flag) == (Flag.HIGH, None)
    assert coded("98979-8", valueQuantity={"value": 45, "unit": "mL/min/1.73m2"}).flag is Flag.LOW


@pytest.mark.requirement("DX-LDU-05")
@pytest.mark.parametrize(
    ("name", "value", "unit", "perhaps"),
    [
        ("血红蛋白", 12.5, "g/L", "12.5 g/dL = 125 g/L"),
        ("血糖", 5.5, "mg/dL", "5.5 mmol/L = 5.5 mmol/L"),
        ("肌酐", 0.8, "mmol/L", "0.8 mg/dL = 70.72 umol/L"),
        ("总钙", 9.5, "mmol/L", "9.5 mg/dL = 2.37 mmol/L"),
        ("血红蛋白", 40, "g/L", ""),
        ("血红蛋白", 4.0, "g/dL", ""),
        ("血糖", 31, "mmol/L", ""),
        ("钾", 7.5, "mmol/L", ""),
        ("乳酸", 4.8, "mmol/L", ""),
        ("乳酸", 9.5, "mmol/L", ""),
    ],
)
def test_a_critical_value_that_another_unit_explains_says_so(
    name: str, value: float, unit: str, perhaps: str
) -> None:
    result = read(name, value, unit, "血清")
    assert result.critical
    said = [each.facts["perhaps"] for each in result.remarks if isinstance(each, UnitDoubted)]
    assert said == ([perhaps] if perhaps else [])


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("name", "value", "own", "answer"),
    [
        ("丙型肝炎病毒抗体", 15.6, "", "positive"),
        ("梅毒螺旋体抗体", 0.05, "", "negative"),
        ("HBsAg", 0.95, "", "borderline"),
        ("HBsAg", 0.95, "<1.0", "negative"),
        ("乙肝核心抗体", 0.01, ">1.0", "positive"),
        ("乙肝核心抗体", 1.9, ">1.0", "negative"),
        ("乙肝核心抗体", 8.2, "", ""),
    ],
)
def test_a_ratio_to_the_cutoff_is_an_answer(name: str, value: float, own: str, answer: str) -> None:
    result = read(name, value, "S/CO", "血清", own)
    assert (result.answer.answer.value if result.answer else "") == answer
    assert bool(answer) is (result.flag is not None)


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("name", "value", "specimen", "analyte", "flag"),
    [
        ("隐血", "3+(200Ery/uL)", "尿", "urine-blood-strip", Flag.ABNORMAL),
        ("葡萄糖", "2+(28mmol/L)", "尿", "urine-glucose-strip", Flag.ABNORMAL),
        ("钠", "118mmol/L ↓", "血清", "na", Flag.CRITICAL_LOW),
        ("INR", "1.5↑", "血浆", "inr", Flag.HIGH),
        ("INR", "5.90 HH", "血浆", "inr", Flag.CRITICAL_HIGH),
        ("活化部分凝血活酶时间", "不凝固", "血浆", "aptt", Flag.CRITICAL_HIGH),
        ("随机血糖", "Hi", "全血", "glucose", Flag.CRITICAL_HIGH),
        ("随机血糖", "LO", "全血", "glucose", Flag.CRITICAL_LOW),
        ("潘氏试验", "阳性", "脑脊液", "pandy", Flag.ABNORMAL),
        ("D-二聚体(FEU)", ">20.00 μg/mL", "血浆", "d-dimer", None),
    ],
)
def test_marks_and_words_beside_or_for_a_value(
    name: str, value: str, specimen: str, analyte: str, flag: Flag | None
) -> None:
    result = read(name, value, "", specimen)
    assert (result.name, result.flag) == (analyte, flag), result.reason
    assert bool(result.critical_source) is result.critical
