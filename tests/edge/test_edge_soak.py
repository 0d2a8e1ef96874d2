"""A thousand mixed requests, sixteen at a time: every one is answered, and memory stays flat.

The long form is `python -m tests.edge.soak`, behind `make soak-edge`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.edge import soak


@pytest.mark.requirement("DX-ATK-13")
def test_a_thousand_mixed_requests_leave_nothing_behind(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path) as edge:
        found = soak.run(edge.fhir, edge.bearer(), requests=1000, seed=20261125)
    assert found.failures == [], found.failures[:5]
    assert found.requests == 1000
    assert found.longest_s < 20
    assert found.kib_per_request < 16, f"{found}"
