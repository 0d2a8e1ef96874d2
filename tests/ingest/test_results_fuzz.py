"""Made and spoilt messages and CSV files are read whole or refused; long: `make fuzz-results`."""

from __future__ import annotations

import pytest

from tests.ingest import results_fuzz


@pytest.mark.requirement("DX-HL7-02")
def test_no_message_and_no_row_crashes_hangs_or_loses_a_result() -> None:
    found = results_fuzz.run(160, seed=5)
    assert found.failures == []
    assert found.longest_s < results_fuzz.HANG_S
    assert {"whole read", "spoilt read", "table read", "stream read"} <= found.outcomes.keys()
