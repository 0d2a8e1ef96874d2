"""Units laboratories print, and factors between them."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.labs import units
from services.labs.analytes import CODES, factor
from services.labs.reasons import NotInterpretable, UnknownUnit, WrongDimension

SHARED = Path(__file__).parents[3] / "shared" / "data" / "labs"
PRINTED = "×x^*10⁹/LdlμµuUIgmokKatHh%[]{}.1234 7－／"


@pytest.mark.requirement("DX-LAB-02")
@pytest.mark.parametrize(
    ("printed", "ucum"),
    [
        ("×10⁹/L", "10*9/L"),
        ("x10^9/L", "10*9/L"),
        ("１０^9/L", "10*9/L"),
        ("10¹²/L", "10*12/L"),
        ("10³/µL", "10*3/uL"),
        ("IU/L", "[IU]/L"),
        ("μmol/L", "umol/L"),
        ("µmol/L", "umol/L"),
        ("mL/min/1.73m²", "mL/min/{1.73_m2}"),
        ("mmHg", "mm[Hg]"),
        ("秒", "s"),
    ],
)
def test_printed_unit_is_read(printed: str, ucum: str) -> None:
    assert units.to_ucum(printed) == ucum
    assert units.read(printed).ucum == ucum


@pytest.mark.requirement("DX-LAB-02")
@pytest.mark.parametrize(
    "printed",
    ["", "banana", "109/L", "1012/L", "103/uL", "mmol/", "10*999999999/L", "²", "mg" * 30, "K/L/"],
)
def test_unknown_unit_is_refused(printed: str) -> None:
    with pytest.raises(UnknownUnit):
        units.read(printed)


@pytest.mark.requirement("DX-LAB-02")
@pytest.mark.parametrize(
    ("loinc", "unit", "expected"),
    [
        ("718-7", "g/dL", "10"),
        ("777-3", "10*3/uL", "1"),
        ("777-3", "/uL", "0.001"),
        ("1742-6", "IU/L", "1"),
        ("1742-6", "ukat/L", "60"),
        ("2951-2", "mEq/L", "1"),
        ("2000-8", "meq/L", "0.5"),
        ("3016-3", "uIU/mL", "1"),
        ("3016-3", "mU/L", "1"),
        ("4544-3", "L/L", "100"),
        ("6301-6", "1", "1"),
        ("59261-8", "mmol/mol", "1"),
        ("48065-7", "ug/mL{FEU}", "1"),
    ],
)
def test_factor_is_exact(loinc: str, unit: str, expected: str) -> None:
    assert factor(units.read(unit), CODES[loinc]) == Decimal(expected)


@pytest.mark.requirement("DX-LAB-02")
@pytest.mark.parametrize(
    ("loinc", "unit", "published"),
    [
        # SI conversion factors of the AMA Manual of Style, 11th ed., table 17.5.
        ("2160-0", "mg/dL", 88.4),
        ("2345-7", "mg/dL", 0.0555),
        ("1975-2", "mg/dL", 17.1),
        ("2093-3", "mg/dL", 0.0259),
        ("2571-8", "mg/dL", 0.0113),
        ("17861-6", "mg/dL", 0.25),
        ("2777-1", "mg/dL", 0.323),
        ("19123-9", "mg/dL", 0.411),
        ("3084-1", "mg/dL", 59.48),
        ("3094-0", "mg/dL", 0.357),
        ("2498-4", "ug/dL", 0.179),
        ("3024-7", "ng/dL", 12.87),
        ("2132-9", "pg/mL", 0.738),
        ("2284-8", "ng/mL", 2.266),
        ("2986-8", "ng/dL", 0.0347),
        ("1989-3", "ng/mL", 2.496),
    ],
)
def test_mass_becomes_substance_by_the_published_factor(
    loinc: str, unit: str, published: float
) -> None:
    assert float(factor(units.read(unit), CODES[loinc])) == pytest.approx(published, rel=0.005)


@pytest.mark.requirement("DX-LAB-03")
@pytest.mark.parametrize(
    ("loinc", "unit"),
    [
        ("2345-7", "mmol/L"),  # a mass code; some published tables pair them
        ("14682-9", "mg/dL"),
        ("4548-4", "mmol/mol"),  # NGSP and IFCC percentages are different scales
        ("6301-6", "%"),
        ("48065-7", "ug/mL"),  # FEU or DDU: a factor of two
        ("48065-7", "ug/mL{DDU}"),
        ("33914-3", "mL/min"),
        ("777-3", "[IU]/L"),
        ("718-7", "G/L"),  # UCUM gauss per litre
        ("2777-1", "meq/L"),
    ],
)
def test_unit_of_another_property_is_refused(loinc: str, unit: str) -> None:
    with pytest.raises(WrongDimension):
        factor(units.read(unit), CODES[loinc])


@pytest.mark.requirement("DX-LAB-02")
@settings(max_examples=150, deadline=None)
@given(st.text(PRINTED, max_size=14) | st.text(max_size=50))
@example("10*99/m")
@example("dam99")
@example("%[slope]")
@example("{a}{b}")
@example("Cel")
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    try:
        unit = units.read(text)
    except UnknownUnit:
        return
    assert 0 < unit.scale < float("inf")
    assert unit.factor_to(unit) == 1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CODES)), st.sampled_from(["g/L", "mol/L", "%", "U/L", "/L", "s"]))
def test_any_pair_converts_or_is_refused(loinc: str, unit: str) -> None:
    try:
        assert factor(units.read(unit), CODES[loinc]) > 0
    except NotInterpretable as refused:
        assert refused.reason in {"WRONG_DIMENSION", "NO_CONVERSION"}


@pytest.mark.skipif(not SHARED.exists(), reason="the shared UCUM examples are not here")
def test_common_ucum_units_are_read() -> None:
    rows = list(csv.reader((SHARED / "ucum_examples.tsv").open(encoding="utf-8"), delimiter="\t"))
    refused = []
    for row in rows[1:]:
        try:
            units.read(row[1])
        except UnknownUnit:
            refused.append(row[1])
    # A bare annotation says what is counted, not a unit; temperatures, levels and collections
    # over 48 h and 72 h are no property of the dictionary.
    others = {unit for unit in refused if not (unit.startswith("{") and unit.endswith("}"))}
    assert others <= {
        *("dB", "Cel", "[degF]", "Torr"),
        *("g/(48.h)", "g/(72.h)", "mg/(72.h)", "mL/(72.h)"),
    }
