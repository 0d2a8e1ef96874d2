"""The table of usual units says what pint says, and wrong units are asked about, not converted."""

from __future__ import annotations

import csv
import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.labs import analytes, panel, registry, tables, units
from services.labs.analytes import ANALYTES, CODES, code_for, factor
from services.labs.interpret import Result, interpret
from services.labs.reasons import NoConversion, NotInterpretable, UnknownUnit

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "labs" / "ucum_examples.tsv"


def by_pint(ucum: str) -> tuple[float, units.Dimension] | None:
    try:
        return units.by_registry(ucum)
    except UnknownUnit:
        return None


@pytest.mark.requirement("DX-LDU-04")
def test_the_table_is_what_pint_says() -> None:
    registry.warm().join()
    path = ROOT / "docs" / "make_unit_table.py"
    spec = importlib.util.spec_from_file_location("make_unit_table", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PATH.read_text("utf-8") == made.made(), "run python docs/make_unit_table.py"


@pytest.mark.requirement("DX-LDU-04")
def test_every_alias_and_every_unit_of_the_dictionary_is_read_without_pint() -> None:
    known = units.TABLE.keys() | units.FRACTIONS | units.WITHOUT_UNIT.keys()
    for row in tables.rows("unit_aliases"):
        assert row["ucum"] in known, row
    for analyte in ANALYTES.values():
        assert {analyte.unit.ucum, *analyte.usual} <= known, analyte.analyte_id


@pytest.mark.skipif(not SHARED.exists(), reason="the shared UCUM examples are not here")
@pytest.mark.requirement("DX-LDU-04")
def test_common_ucum_units_are_the_same_by_table_and_by_pint() -> None:
    rows = list(csv.reader(SHARED.open(encoding="utf-8"), delimiter="\t"))[1:]
    for ucum in (row[1] for row in rows):
        if ucum in units.FRACTIONS or ucum in units.WITHOUT_UNIT or ucum not in units.TABLE:
            continue
        assert by_pint(ucum) == units.TABLE[ucum], ucum


@pytest.mark.requirement("DX-LDU-04")
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(ANALYTES)),
    st.decimals("0.001", "9999", places=3),
    st.data(),
)
def test_there_and_back_is_the_same_value(name: str, number: Decimal, data: Any) -> None:
    analyte = ANALYTES[name]
    ucum = data.draw(st.sampled_from(analyte.usual))
    unit = units.read(ucum)
    code = code_for(analyte, unit)
    assert code is not None
    canonical = number * factor(unit, code)
    assert canonical > 0
    assert float(canonical / factor(unit, code)) == pytest.approx(float(number), rel=1e-9)
    plain = not analyte.unit.marks & {"{creat}", "[arb'U]", "[IU]"}
    if analyte.molar_mass is None and not analyte.charge and plain:
        assert units.as_enzyme(unit).dimension == units.as_enzyme(analyte.unit).dimension


@pytest.mark.requirement("DX-LDU-04")
def test_mass_and_substance_convert_both_ways() -> None:
    for name, mass, substance, value in (
        ("glucose", "mg/dL", "mmol/L", "5.551"),
        ("creatinine", "mg/dL", "umol/L", "88.4"),
        ("calcitriol", "pg/mL", "pmol/L", "2.4"),
        ("vancomycin-trough", "mg/L", "umol/L", "0.69"),
        ("digoxin", "ng/mL", "nmol/L", "1.28"),
    ):
        analyte = ANALYTES[name]
        there = analytes.to_canonical(units.read(mass), analyte)
        back = analytes.to_canonical(units.read(substance), analyte)
        scale = Decimal(100) if name == "glucose" else Decimal(1)
        assert float(there * scale / back) == pytest.approx(float(value), rel=0.01)
    acr = ANALYTES["urine-acr"]
    per_mmol = analytes.to_canonical(units.read("mg/mmol{creat}"), acr)
    assert float(per_mmol) == pytest.approx(8.84, rel=0.001)


@pytest.mark.requirement("DX-LDU-04")
def test_no_conversion_is_invented() -> None:
    with pytest.raises(NoConversion):
        analytes.to_canonical(units.read("mg/L"), ANALYTES["lipoprotein-a"])
    for loinc, unit in (("20448-7", "pmol/L"), ("14796-7", "u[IU]/mL"), ("43583-4", "mg/dL")):
        with pytest.raises(NotInterpretable):
            factor(units.read(unit), CODES[loinc])


def one(loinc: str, value: float, unit: str) -> Result:
    observation = {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": value, "unit": unit},
    }
    document = {"subject": {"sex": "male", "age_years": 40}, "observations": [observation]}
    part = panel.read(json.dumps(document).encode())
    (result,) = interpret(part.measured, part.subject)
    return result


@pytest.mark.requirement("DX-LDU-05")
@pytest.mark.parametrize(
    ("loinc", "value", "unit", "perhaps"),
    [
        ("14682-9", 88, "mmol/L", "88 umol/L = 88 umol/L"),
        ("718-7", 140, "g/dL", "140 g/L = 140 g/L"),
        ("33959-8", 25, "ug/mL", "25 ng/mL = 25 ng/mL"),
        ("2498-4", 20000, "ug/dL", ""),
        ("2276-4", 150000, "ug/mL", "150000 ug/L = 150000 ug/L"),
        ("1988-5", 500, "mg/dL", "500 mg/L"),
    ],
)
def test_a_unit_off_by_a_thousand_is_asked_about(
    loinc: str, value: float, unit: str, perhaps: str
) -> None:
    result = one(loinc, value, unit)
    assert result.reason is not None and result.canonical is None and result.flag is None
    if result.reason.reason == "UNIT_IMPLAUSIBLE":
        assert result.reason.facts["perhaps"].startswith(perhaps)
        assert result.reason.facts["stated"].startswith(f"{value} {unit}")
    else:
        assert result.reason.reason == "VALUE_IMPOSSIBLE"
        assert not perhaps


@pytest.mark.requirement("DX-LDU-05")
@pytest.mark.parametrize(
    ("loinc", "value", "unit"),
    [
        ("2744-1", 74, "[pH]"),
        ("2951-2", 1400, "mmol/L"),
        ("4544-3", 450, "%"),
        ("2708-6", 980, "%"),
    ],
)
def test_what_nobody_has_is_refused(loinc: str, value: float, unit: str) -> None:
    result = one(loinc, value, unit)
    assert result.reason is not None and result.reason.reason == "VALUE_IMPOSSIBLE"
    assert result.flag is None and result.reason.facts["high"]


@pytest.mark.requirement("DX-LDU-05")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CODES)), st.floats(0.1, 0.9))
def test_limits_are_in_order_and_hold_their_own_range(loinc: str, share: float) -> None:
    analyte = CODES[loinc].analyte
    assume(analyte.least is not None and analyte.most is not None)
    assert analyte.least is not None and analyte.most is not None
    assert analyte.least < analyte.most
    value = float(analyte.least) + share * float(analyte.most - analyte.least)
    scale = float(factor(CODES[loinc].unit, CODES[loinc]))
    result = one(loinc, float(f"{value / scale:.6g}"), CODES[loinc].unit.ucum)
    assert not result.reason or result.reason.reason not in ("VALUE_IMPOSSIBLE", "UNIT_IMPLAUSIBLE")
