"""`dxmesh status` names endpoints that do not take what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli import case_commands


class Answers:
    """A gateway with one endpoint that is away."""

    def get(self, path: str) -> dict[str, Any]:
        failing = {
            "id": "s-1",
            "status": "error",
            "owner": "ehr-1",
            "host": "hooks.hospital.example",
            "reason": "HTTP_503",
            "failures": 9,
            "failing_s": 7200.0,
            "waiting": 12,
        }
        healthy = failing | {"id": "s-2", "status": "active", "failing_s": None, "waiting": 1}
        return {
            "healthy": True,
            "services": {},
            "queues": {},
            "oldest_open_case_s": None,
            "ehr_writes": {"waiting": 0, "failed": 0},
            "subscriptions": [failing, healthy],
        }


@pytest.mark.requirement("DX-SUB-04")
def test_status_shows_an_endpoint_that_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = Answers()
    assert case_commands.status(client, as_json=False) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "subscription s-1 to hooks.hospital.example: error" in shown
    assert "fails for 7200 s (HTTP_503), 12 events wait" in shown
    assert "subscription s-2 to hooks.hospital.example: active, 1 events wait" in shown
