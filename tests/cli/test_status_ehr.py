"""`dxmesh status` tells the operator of signed reports that an EHR does not take."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli import case_commands


class Answers:
    """A client of a gateway whose EHR has two reports to come and refused one."""

    def __init__(self, waiting: int, failed: int) -> None:
        self._writes = {"waiting": waiting, "failed": failed}

    def get(self, path: str) -> dict[str, Any]:
        return {
            "healthy": True,
            "services": {},
            "queues": {},
            "oldest_open_case_s": None,
            "ehr_writes": self._writes,
        }


@pytest.mark.requirement("DX-EHR-11")
def test_status_counts_reports_on_their_way_and_given_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting: Any = Answers(2, 1)
    assert case_commands.status(waiting, as_json=False) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "reports on their way to the EHR: 2; given up: 1 (/ops/ehr)" in shown
    quiet: Any = Answers(0, 0)
    case_commands.status(quiet, as_json=False)
    assert "EHR" not in capsys.readouterr().out
