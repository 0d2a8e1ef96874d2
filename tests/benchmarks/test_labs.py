"""The benchmark of the laboratory in its shortest form; no time is asserted."""

from __future__ import annotations

import json

import pytest

from benchmarks import labs
from services.labs import panel
from services.labs.findings import findings


@pytest.mark.requirement("DX-BEN-01")
async def test_each_side_is_measured_through_a_server_of_its_own() -> None:
    found = await labs.measure(rounds=1, calls=2)
    assert set(found.ms) == {labs.ALONE, labs.CODED, labs.NAMED, labs.GRPC}
    assert all(min(values) > 0 for values in found.ms.values())
    assert len(labs.rows(found)) == 8 and "40" in str(labs.verdict(found))


def test_both_panels_are_the_same_results() -> None:
    sides = [findings(panel.read(labs.document(coded=coded))).results for coded in (True, False)]
    assert len(json.loads(labs.document(coded=True))["observations"]) == 40
    names = [[each.analyte_id for each in side] for side in sides]
    assert names[0] == names[1] == list(labs.ANALYTES)
    assert [each.flag for each in sides[0]] == [each.flag for each in sides[1]]
