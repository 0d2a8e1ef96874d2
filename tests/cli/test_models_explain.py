"""`dxmesh models …`: lists the models, and prints what took a study and why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.test_commands import _Gateway, gateway, run

__all__ = ["gateway"]
pytestmark = pytest.mark.requirement("DX-IMG-99")

NO = {"reason": "", "message": "", "facts": {}}
CHILD = {
    "reason": "CHILD",
    "message": "the patient is a child",
    "facts": {"age_years": "9", "min": "18"},
}
SERIES = {
    "series": "2.25.5",
    "modality": "CT",
    "slices": 40,
    "spacing_mm": 2.5,
    "pixel_mm": 0.7031,
    "read": True,
    **NO,
    "readings": [
        {"reading": "nodules", "rule": "nodules-chest-ct", "read": True, **NO},
        {"reading": "haemorrhage", "rule": "haemorrhage-head-ct", "read": False, **CHILD},
    ],
}
DAMAGED = {
    **SERIES,
    "modality": "",
    "spacing_mm": 0,
    "pixel_mm": 0,
    "slices": 0,
    "read": False,
    "readings": [],
    "reason": "DAMAGED_SERIES",
    "message": "cannot be read",
}


def case(*series: dict[str, Any]) -> dict[str, Any]:
    parts = [{"part": "imaging-1", "series": list(series)}]
    running = [{"part": "imaging-2", "reading": "pathology", "done": 0.25}]
    return {"cases": [{"case_id": "c-1", "parts": parts, "running": running}]}


@pytest.fixture
def answers(gateway: str) -> Iterator[str]:
    _Gateway.answers["/ops/imaging/1.2.3"] = (200, case(SERIES, DAMAGED))
    _Gateway.answers["/ops/imaging/c-2"] = (200, case(DAMAGED))
    _Gateway.answers["/ops/models"] = (
        200,
        {"models": [{"name": "m", "version": "1.0", "ready": False, "card": {"title": "finds"}}]},
    )
    yield gateway


def test_study_is_explained_series_by_series(answers: str) -> None:
    done = run("models", "explain", "1.2.3", "--url", answers)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "case c-1",
        "  imaging-2: pathology runs, 25% done",
        "  imaging-1, series 1: CT, 40 images, 2.5 mm apart, pixels 0.703 mm",
        "    nodules      read (rule nodules-chest-ct)",
        "    haemorrhage  not read: CHILD: the patient is a child [age_years 9, min 18] "
        "(rule haemorrhage-head-ct)",
        "  imaging-1, series 2: modality not stated, 0 images",
        "    not understood: DAMAGED_SERIES: cannot be read",
    ]


def test_script_sees_that_nothing_was_read_and_gets_json(answers: str) -> None:
    done = run("models", "explain", "c-2", "--url", answers, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == case(DAMAGED)
    listed = run("models", "list", "--url", answers)
    assert listed.returncode == 1, "a model does not answer"
    assert listed.stdout.splitlines()[1].split() == ["m", "1.0", "no", "finds"]
