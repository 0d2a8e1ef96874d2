"""Values that are no plain number beside earlier ones: 1:80, then 1:640; an answer twice."""

from __future__ import annotations

import pytest

from services.labs import panel
from services.labs.findings import interpreted
from services.labs.history.past import Past
from tests.labs.history_cases import CREATININE, document, observation, of, rows_of

ANA = "5048-4"


def titre(text: str, hours: float) -> dict[str, object]:
    return observation(ANA, text, hours)


@pytest.mark.requirement("DX-LAB-61")
def test_a_titre_is_compared_with_earlier_ones_of_its_part_and_of_before() -> None:
    before = rows_of(titre("1:80", -48.0))
    now = titre("1:320", -24.0), titre("1:640", 0.0)
    found = interpreted(panel.read(document(*now)), past=Past(before)).findings
    last = of(found, str(now[1]["id"]))
    assert [each.value for each in last.earlier] == ["1:320", "1:80"]
    assert (last.change.earlier_value, last.change.percent) == ("1:320", 100.0)


@pytest.mark.requirement("DX-LAB-61")
def test_a_quantity_that_came_twice_as_an_answer_breaks_nothing() -> None:
    now = observation(CREATININE, "阳性", 0.0)
    past = Past(rows_of(observation(CREATININE, "阳性", -48.0)))
    found = interpreted(panel.read(document(now)), past=past).findings
    assert found.results[0].not_interpreted.reason == "VALUE_NOT_NUMERIC"
