"""The conclusion's lines, told apart by what they are about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.conclusion import lines_of


@pytest.mark.requirement("DX-WEB-17")
@pytest.mark.parametrize(
    ("line", "lead"),
    [
        ("Laboratory: 16 abnormal result(s): Sodium 120 mmol/L (low).", "Laboratory:"),
        ("【检验】异常16项：钠 120 mmol/L↓。", "【检验】"),
        ("Impression:", "Impression:"),
        ("印象：", "印象："),
        ("[Red flag] Consider Stroke, because: weakness", "[Red flag]"),
        ("4 other result(s) within the reference range.", ""),
        ("Measured at 08:15, again at 09:20", ""),
        ("Takes Valsartan, and potassium 6.8 mmol/L: review it", ""),
        ("“钾: 6.8”与血钾一致", ""),
    ],
)
def test_what_a_line_is_about_stands_apart(line: str, lead: str) -> None:
    [found] = lines_of(line)
    assert found.lead == lead
    assert f"{found.lead}{found.rest}".replace(" ", "") == line.replace(" ", "")


@given(st.lists(st.text("ab :：。.【】[]“病", max_size=40), max_size=5))
def test_nothing_of_a_conclusion_is_lost(lines: list[str]) -> None:
    shown = "".join(f"{each.lead}{each.rest}" for each in lines_of("\n".join(lines)))
    assert shown.replace(" ", "") == "".join(lines).replace(" ", "")
