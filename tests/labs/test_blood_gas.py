"""A blood gas read step by step, against cases computed from the published rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labs import blood_gas
from services.labs.blood_gas_gaps import Gas

DISORDERS = frozenset(
    ("metabolic-acidosis", "metabolic-alkalosis", "respiratory-acidosis", "respiratory-alkalosis")
)


@pytest.mark.requirement("DX-LAB-15")
@pytest.mark.parametrize(
    ("gas", "disorders", "more"),
    # Recomputed from Berend 2014, table 1, and Rastegar 2007.
    [
        (Gas(7.40, 40, 24, 140, 104), set(), {"normal"}),
        (Gas(7.25, 27, 12, 140, 115), {"metabolic-acidosis"}, {"normal-gap-acidosis"}),
        (Gas(7.25, 27, 12, 140, 103), {"metabolic-acidosis"}, {"high-gap-acidosis"}),
        (Gas(7.15, 35, 12), {"metabolic-acidosis", "respiratory-acidosis"}, {"mixed"}),
        (Gas(7.43, 18, 12), {"metabolic-acidosis", "respiratory-alkalosis"}, {"mixed"}),
        (Gas(7.49, 48, 36), {"metabolic-alkalosis"}, set()),
        (Gas(7.58, 40, 37), {"metabolic-alkalosis", "respiratory-alkalosis"}, {"mixed"}),
        (Gas(7.22, 70, 28), {"respiratory-acidosis"}, {"respiratory-acidosis-acute"}),
        (Gas(7.34, 70, 37), {"respiratory-acidosis"}, {"respiratory-acidosis-chronic"}),
        (Gas(7.08, 70, 20), {"respiratory-acidosis", "metabolic-acidosis"}, {"mixed"}),
        (Gas(7.56, 24, 21), {"respiratory-alkalosis"}, {"respiratory-alkalosis-acute"}),
        (Gas(7.46, 24, 17), {"respiratory-alkalosis"}, {"respiratory-alkalosis-chronic"}),
        (Gas(7.34, 43, 23), set(), {"undetermined"}),
        (Gas(7.46, 36, 25.5), set(), {"undetermined"}),
        (Gas(7.40, 40, 24, 142, 94), {"metabolic-acidosis", "metabolic-alkalosis"}, {"hidden"}),
    ],
)
def test_disorders_are_named(gas: Gas, disorders: set[str], more: set[str]) -> None:
    found = blood_gas.read(gas).findings
    assert found & DISORDERS == disorders
    assert more <= found


@pytest.mark.requirement("DX-LAB-15")
def test_values_that_do_not_fit_together_are_not_interpreted() -> None:
    found = blood_gas.read(Gas(7.30, 80, 10))
    assert found.findings == {"inconsistent"} and "Henderson" in found.text_en


@pytest.mark.requirement("DX-LAB-15")
def test_low_albumin_hides_a_gap() -> None:
    hidden = blood_gas.read(Gas(7.30, 31, 15, 138, 108))
    shown = blood_gas.read(Gas(7.30, 31, 15, 138, 108, albumin=20))
    assert "high-gap-acidosis" not in hidden.findings
    assert "high-gap-acidosis" in shown.findings and "albumin" in shown.used


@pytest.mark.requirement("DX-LAB-15")
def test_a_high_osmolal_gap_is_said() -> None:
    found = blood_gas.read(Gas(7.10, 18, 5.5, 140, 100, glucose=6, urea=5, osmolality=340))
    assert "osmolal-gap" in found.findings and "49" in found.text_en


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.none() | st.floats(0, 1e6),
    st.none() | st.floats(0, 300),
    st.none() | st.floats(0, 300),
)
def test_no_values_crash_the_reading(
    ph: float, pco2: float, hco3: float | None, na: float | None, cl: float | None
) -> None:
    found = blood_gas.read(Gas(ph, pco2, hco3, na, cl))
    assert len(found.steps_en) == len(found.steps_zh)


@given(st.floats(6.8, 7.8), st.floats(10, 120))
def test_a_computed_bicarbonate_always_fits(ph: float, pco2: float) -> None:
    hco3 = blood_gas.bicarbonate(ph, pco2)
    assert "inconsistent" not in blood_gas.read(Gas(ph, pco2, hco3)).findings
