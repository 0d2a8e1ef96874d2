"""UCUM units as a reader sees them."""

from __future__ import annotations

from importlib.resources import files

import pytest

from services.kernel.ucum import readable


@pytest.mark.requirement("DX-REP-22")
@pytest.mark.parametrize(
    ("ucum", "written"),
    [
        ("mm[Hg]", "mmHg"),
        ("cm[H2O]", "cmH2O"),
        ("[pH]", ""),
        ("{INR}", ""),
        ("1", ""),
        ("Cel", "℃"),
        ("m[IU]/L", "mIU/L"),
        ("u[IU]/mL", "µIU/mL"),
        ("umol/L", "µmol/L"),
        ("10*9/L", "×10^9/L"),
        ("mg/L{FEU}", "mg/L FEU"),
        ("mL/min/{1.73_m2}", "mL/min/1.73 m²"),
        ("{copies}/mL", "copies/mL"),
        ("[arb'U]/mL", "AU/mL"),
        ("mmol/(24.h)", "mmol/24h"),
        ("kg/m2", "kg/m²"),
        ("40 umol/L + 50 %", "40 µmol/L + 50 %"),
    ],
)
def test_a_unit_is_written_as_people_write_it(ucum: str, written: str) -> None:
    assert readable(ucum) == written


@pytest.mark.requirement("DX-REP-22")
@pytest.mark.parametrize("unit", ["次/分", "×10^9/L", "mmHg", "°C", "U/L", "g/dL", "秒", "mIU/mL"])
def test_what_is_no_ucum_stays(unit: str) -> None:
    assert readable(unit) == unit


@pytest.mark.requirement("DX-REP-22")
def test_no_unit_of_the_laboratory_shows_brackets_and_reading_twice_changes_nothing() -> None:
    table = files("services.labs").joinpath("data", "analytes.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and line[0] != "#"]
    units = {row[rows[0].index("unit")] for row in rows[1:]}
    assert len(units) > 40
    for unit in units:
        shown = readable(unit)
        assert not set("[]{}'*") & set(shown), unit
        assert readable(shown) == shown
