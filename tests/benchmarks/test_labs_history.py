"""The benchmark of earlier results in its shortest form; no time is asserted."""

from __future__ import annotations

import pytest

from benchmarks import labs_history


@pytest.mark.requirement("DX-BEN-01")
async def test_every_step_is_measured_beside_500_results() -> None:
    found = await labs_history.measure(2)
    assert 400 <= found.earlier <= 520
    assert all(values and min(values) >= 0 for values in found.ms.values())
    assert len(labs_history.rows(found)) == 2 + 4
    assert "40" in labs_history.verdict(found)
