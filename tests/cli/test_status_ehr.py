"""`dxmesh status` tells of reports that an EHR does not take, and of what nobody has read."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli import case_commands


class Answers:
    """A client of a gateway whose EHR has two reports to come and refused one."""

    def __init__(self, waiting: int, failed: int, unread: int = 0) -> None:
        self._writes = {"waiting": waiting, "failed": failed}
        self._critical = {"unread": unread, "oldest_s": 754.0 if unread else None}

    def get(self, path: str) -> dict[str, Any]:
        return {
            "healthy": True,
            "services": {},
            "queues": {},
            "oldest_open_case_s": None,
            "ehr_writes": self._writes,
            "critical": self._critical,
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


@pytest.mark.requirement("DX-CRI-10")
def test_status_says_how_many_critical_results_nobody_has_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unread: Any = Answers(0, 0, unread=2)
    case_commands.status(unread, as_json=False)
    assert "critical results nobody has read: 2, for 12 min" in capsys.readouterr().out
    none: Any = Answers(0, 0)
    case_commands.status(none, as_json=False)
    assert "critical" not in capsys.readouterr().out
