"""Nothing is lost and nothing doubled when processes die, or something is away for a while."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.cli.answers import CliError
from services.kernel.subjects import SERVICES
from tests.flow.cases import make_case, spoil_pixels
from tests.flow.running import Running

CASES = 10
BETWEEN_KILLS_S = 2.0
AWAY_S = 20.0
SUBMIT_S = 240.0
ALL_S = 420.0


def submit_until_accepted(running: Running, folder: Path) -> str:
    """Submit as an EHR does: again, until it is answered. The same content is the same case."""
    until = time.monotonic() + SUBMIT_S
    while True:
        try:
            return running.submit(folder)
        except CliError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    """Return how each part ended, as the report says."""
    found = {}
    for extension in report["extension"]:
        if extension["url"].endswith(":part"):
            inner = {part["url"]: part for part in extension["extension"]}
            found[inner["partId"]["valueString"]] = inner["outcome"]["valueCode"]
    return found


def assert_exactly_one_report(running: Running, case_id: str) -> dict[str, Any]:
    """Return the case's only report, which has one version."""
    bundle = running.ehr.get(f"/fhir/DiagnosticReport?identifier=urn:dxmesh:case|{case_id}")
    (entry,) = bundle["entry"]
    report: dict[str, Any] = entry["resource"]
    assert report["meta"]["versionId"] == "1"
    return report


@pytest.mark.requirement("DX-FLOW-03")
@pytest.mark.timeout(900)
def test_ten_cases_outlive_the_death_of_every_process(running: Running, tmp_path: Path) -> None:
    folders = [make_case(tmp_path / f"case {n}", f"KILL-{n}") for n in range(CASES)]
    victims = ["nats-server", *SERVICES]
    if running.mesh.wheel:
        victims.insert(1, "triton")
    with ThreadPoolExecutor(2) as pool:
        submitting = [pool.submit(submit_until_accepted, running, folder) for folder in folders]
        for victim in victims:
            time.sleep(BETWEEN_KILLS_S)
            running.mesh.supervisor.kill(victim)
        ids = [each.result() for each in submitting]
    assert len(set(ids)) == CASES
    until = time.monotonic() + ALL_S
    for case_id in ids:
        running.wait_for(case_id, timeout_s=max(1.0, until - time.monotonic()))
    for case_id in ids:
        report = assert_exactly_one_report(running, case_id)
        assert outcomes(report) == dict.fromkeys(("imaging-1", "labs-1", "nlp-1"), "completed")
    for victim in victims:
        assert running.mesh.supervisor.find(victim).restarts >= 1


@pytest.mark.requirement("DX-FLOW-04")
@pytest.mark.timeout(400)
def test_a_scorer_that_is_away_delays_the_report_and_loses_nothing(
    running: Running, tmp_path: Path
) -> None:
    scorer = "triton" if running.mesh.wheel else "imaging"
    running.mesh.supervisor.pause(scorer)
    try:
        case_id = running.submit(make_case(tmp_path / "case", "SCORER-AWAY"))
        time.sleep(AWAY_S)
        case = running.case(case_id)
        assert not case["report"] and case["status"] == "in-progress"
    finally:
        running.mesh.supervisor.resume(scorer)
    running.wait_for(case_id)
    assert outcomes(assert_exactly_one_report(running, case_id))["imaging-1"] == "completed"


@pytest.mark.requirement("DX-FLOW-04")
@pytest.mark.timeout(400)
def test_a_database_that_is_away_delays_the_report_and_loses_nothing(
    running: Running, tmp_path: Path
) -> None:
    case_id = running.submit(make_case(tmp_path / "case", "DATABASE-AWAY"))
    running.databases.kill()
    try:
        time.sleep(AWAY_S)
    finally:
        running.databases.start()
    wait_until_answered(running, case_id)
    running.wait_for(case_id)
    parts = outcomes(assert_exactly_one_report(running, case_id))
    assert set(parts.values()) == {"completed"}


def wait_until_answered(running: Running, case_id: str) -> None:
    """Wait until the gateway has its database again."""
    until = time.monotonic() + 60
    while True:
        try:
            running.case(case_id)
            return
        except CliError:
            assert time.monotonic() < until
            time.sleep(0.5)


@pytest.mark.requirement("DX-FLOW-05")
def test_a_corrupt_series_is_named_and_the_other_parts_are_reported(
    running: Running, tmp_path: Path
) -> None:
    folder = make_case(tmp_path / "case", "CORRUPT")
    spoil_pixels(folder / "ct")
    case_id = running.submit(folder)
    running.wait_for(case_id)
    report = running.report(case_id)
    parts = outcomes(report)
    assert parts.get("imaging-1") in ("declined", "failed", None)
    assert parts["labs-1"] == parts["nlp-1"] == "completed"
    assert "Imaging" in report["conclusion"] and "not analysed" in report["conclusion"]


@pytest.mark.requirement("DX-FLOW-06")
@pytest.mark.timeout(400)
def test_at_the_due_time_the_report_goes_out_and_a_late_part_makes_a_new_version(
    running: Running, tmp_path: Path
) -> None:
    running.mesh.supervisor.pause("imaging")
    try:
        due = datetime.now(UTC) + timedelta(seconds=15)
        folder = make_case(tmp_path / "case", "LATE", due=due)
        case_id = running.submit(folder)
        running.wait_for(case_id)
        assert datetime.now(UTC) >= due
        first = running.report(case_id)
        assert outcomes(first)["imaging-1"] == "awaited"
        assert "imaging-1" in first["conclusion"]
    finally:
        running.mesh.supervisor.resume("imaging")
    running.wait_for(case_id, lambda case: bool(case["report_version"] == 2))
    second = running.report(case_id)
    assert second["id"] == first["id"] and second["meta"]["versionId"] == "2"
    assert outcomes(second)["imaging-1"] == "completed"
