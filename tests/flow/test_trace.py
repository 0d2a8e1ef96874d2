"""One case is one trace, from the EHR's request through every service and Triton and back."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli import accounts, bundle, content
from services.kernel.subjects import SERVICES
from tests.flow.cases import make_case
from tests.flow.running import Running

EXPORT_S = 30.0
SPANS = (
    ("gateway", "gateway POST /fhir"),
    ("ingest", "ingest SubmitCase"),
    ("consent", "consent CheckConsent"),
    ("ingest", "publish case.received"),
    ("anonymization", "anonymization case.received"),
    ("anonymization", "publish part.imaging"),
    ("imaging", "imaging part.imaging"),
    ("imaging", "infer lung_nodule_candidates"),
    ("imaging", "publish finding.imaging"),
    ("labs", "labs part.labs"),
    ("nlp", "nlp part.nlp"),
    ("reporting", "publish report.composed"),
    ("gateway", "gateway report.composed"),
    ("anonymization", "anonymization Reidentify"),
)
"""Service and span name of each step of a case."""


@pytest.fixture(scope="module")
def traced(running: Running, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Submit a case under a trace of the EHR's own; return trace id, span id and case id."""
    folder = make_case(tmp_path_factory.mktemp("trace") / "case", "TRACE")
    found = content.read([folder])
    running.ehr.upload(found.uploads)
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    headers = {
        "Authorization": f"Bearer {accounts.read(running.state.root).ehr_token}",
        "Content-Type": "application/fhir+json",
        "traceparent": f"00-{trace}-{span}-01",
    }
    address = f"{running.mesh.url}/fhir"
    answer = httpx.post(address, content=bundle.build(found), headers=headers, timeout=60)
    assert answer.status_code == 201
    case_id = str(answer.json()["id"])
    running.wait_for(case_id)
    return trace, span, case_id


def spans_of(running: Running, trace: str) -> list[tuple[str, Any]]:
    return [(s, x) for s, x in running.telemetry.spans() if x.trace_id.hex() == trace]


@pytest.mark.requirement("DX-FLOW-12")
def test_every_step_of_a_case_is_in_the_trace_it_came_with(
    running: Running, traced: tuple[str, str, str]
) -> None:
    trace, _, _ = traced
    until = time.monotonic() + EXPORT_S
    wanted = {(f"dxmesh-{service}", name) for service, name in SPANS}
    if running.mesh.wheel:
        wanted |= {("triton", "InferRequest"), ("triton", "lung_nodule_candidates")}
    while missing := wanted - {(s, x.name) for s, x in spans_of(running, trace)}:
        assert time.monotonic() < until, sorted(missing)
        time.sleep(0.5)


@pytest.mark.requirement("DX-FLOW-12")
def test_the_trace_is_one_tree_under_the_ehrs_span(
    running: Running, traced: tuple[str, str, str]
) -> None:
    trace, root, _ = traced
    until = time.monotonic() + EXPORT_S
    while True:  # each process exports in its own time, so a child may come before its parent
        spans = [span for _, span in spans_of(running, trace)]
        known = {span.span_id.hex() for span in spans} | {root}
        orphans = [s.name for s in spans if s.parent_span_id.hex() not in known]
        if not orphans:
            break
        assert time.monotonic() < until, orphans
        time.sleep(0.5)
    assert any(span.parent_span_id.hex() == root for span in spans)


@pytest.mark.requirement("DX-FLOW-12")
@pytest.mark.parametrize(
    ("metric", "attribute", "values"),
    [
        (
            "dxmesh.step.duration",
            "step",
            {"imaging.part.imaging", "reporting.finding.labs", "gateway.report.composed"},
        ),
        ("dxmesh.queue.depth", "consumer", {"imaging.part.imaging", "gateway.report.composed"}),
        ("dxmesh.case.oldest_age", "tenant", {accounts.TENANT}),
    ],
)
def test_metrics_of_steps_queues_and_cases_arrive(
    running: Running, traced: tuple[str, str, str], metric: str, attribute: str, values: set[str]
) -> None:
    wait_for_values(running, metric, attribute, values)


def wait_for_values(running: Running, metric: str, attribute: str, values: set[str]) -> None:
    until = time.monotonic() + EXPORT_S
    while missing := values - values_of(running, metric, attribute):
        assert time.monotonic() < until, sorted(missing)
        time.sleep(0.5)


def values_of(running: Running, metric: str, attribute: str) -> set[str]:
    """Return the values of an attribute that a metric was exported with."""
    return {
        found.value.string_value
        for _, each in running.telemetry.metrics()
        if each.name == metric
        for point in getattr(each, str(each.WhichOneof("data"))).data_points
        for found in point.attributes
        if found.key == attribute
    }


@pytest.mark.requirement("DX-FLOW-13")
@pytest.mark.parametrize("service", SERVICES)
def test_a_log_is_one_json_object_a_line(running: Running, service: str) -> None:
    lines = list(log_lines(running.state.logs / f"{service}.jsonl"))
    assert lines
    for line in lines:
        assert {"time", "level", "service", "message"} <= line.keys()
        assert line["service"] == service


def log_lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text().splitlines():
        yield json.loads(text)


@pytest.mark.requirement("DX-FLOW-13")
def test_a_line_about_a_case_names_it_and_its_trace(running: Running) -> None:
    """Leave a part that cannot be scored: imaging says that it tries again, and for whom."""
    folder = running.state.root / "one case"
    if running.mesh.wheel is None:
        pytest.skip("no Triton wheel here whose absence imaging would log")
    running.mesh.supervisor.pause("triton")
    try:
        case_id = running.submit(make_case(folder, "LOGGED"))
        until = time.monotonic() + 60
        while True:
            told = list(log_lines(running.state.logs / "imaging.jsonl"))
            about = [x for x in told if x.get("case") == case_id and x["level"] == "WARNING"]
            if about:
                break
            assert time.monotonic() < until
            time.sleep(0.5)
    finally:
        running.mesh.supervisor.resume("triton")
    assert len(about[0]["trace"]) == 32
    running.wait_for(case_id)
    wait_for_values(running, "dxmesh.failures", "step", {"imaging.part.imaging"})
    assert "UNAVAILABLE" in values_of(running, "dxmesh.failures", "reason")
