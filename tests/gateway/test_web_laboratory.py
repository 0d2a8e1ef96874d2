"""Results and scores as the review page shows them."""

from __future__ import annotations

import pytest

from services.gateway.web.laboratory import laboratory

LABORATORY = [{"coding": [{"code": "laboratory"}]}]


@pytest.mark.parametrize(("unit", "shown"), [("1", ""), ("mmol/L", "mmol/L")])
def test_a_number_without_dimension_shows_no_unit(unit: str, shown: str) -> None:
    score = {
        "id": "s",
        "category": LABORATORY,
        "method": {"text": "a source"},
        "valueQuantity": {"value": 4.24, "unit": unit},
    }
    _, (found,) = laboratory([score])
    assert (found.value, found.unit) == ("4.24", shown)
