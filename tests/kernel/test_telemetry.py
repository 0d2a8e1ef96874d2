"""Logs, spans and what they may not carry."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.kernel import telemetry
from services.kernel.errors import InvalidInput

SECRET = "Zhang San 110101199003078515"


def run(body: str) -> list[dict[str, object]]:
    """Run code in a process that logs as a service does; return its stderr as JSON lines."""
    code = (
        "import logging, warnings, asyncio\n"
        "from services.kernel import telemetry\n"
        "telemetry.start('labs', None, 'INFO')\n"
        "log = logging.getLogger('services.labs.worker')\n" + body
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.requirement("DX-ARC-08")
def test_log_line_is_one_json_object_with_case_and_facts() -> None:
    (line,) = run(
        "with telemetry.case('case-1'):\n"
        "    log.info('taken\\nup', extra={'facts': {'rows': 3, 'odd': object}})"
    )
    assert (line["level"], line["service"], line["case"]) == ("INFO", "labs", "case-1")
    assert (line["message"], line["rows"]) == ("taken\nup", 3)
    assert str(line["time"]).endswith("+00:00")


@pytest.mark.requirement("DX-ARC-08")
@pytest.mark.parametrize(
    "body",
    [
        "try:\n    raise ValueError(SECRET)\nexcept ValueError:\n    log.exception('failed')",
        "try:\n    int(SECRET)\nexcept ValueError as e:\n"
        "    log.error('x: %s', telemetry.frames(e))",
        "warnings.warn(f'Invalid value for VR PN: {SECRET}')",
        "import pydicom; logging.getLogger('pydicom').warning(SECRET)",
        "logging.getLogger('grpc._cython.cygrpc').error(SECRET)",
        "async def f():\n    asyncio.create_task(g())\n    await asyncio.sleep(0.01)\n"
        "async def g():\n    raise ValueError(SECRET)\nasyncio.run(f())",
        "raise ValueError(SECRET)",
        "import threading\ndef f():\n    raise ValueError(SECRET)\n"
        "t = threading.Thread(target=f)\nt.start()\nt.join()",
    ],
    ids=[
        *("exception", "frames", "warning", "library", "sub-logger", "lost task"),
        *("uncaught", "uncaught in a thread"),
    ],
)
def test_no_log_line_quotes_a_value(body: str) -> None:
    lines = run(f"SECRET = {SECRET!r}\n{body}")
    assert "Zhang" not in json.dumps(lines)
    assert lines, "that there was something is worth knowing"


def test_frames_name_type_and_place_and_the_text_of_our_own_errors_alone() -> None:
    def fail(error: Exception) -> str:
        try:
            raise error
        except type(error) as caught:
            return telemetry.frames(caught)

    theirs, ours = fail(ValueError(SECRET)), fail(InvalidInput("a panel has no rows"))
    assert theirs.startswith("ValueError at test_telemetry.py:")
    assert "Zhang" not in theirs
    assert ours.startswith("InvalidInput: a panel has no rows at test_telemetry.py:")
    assert telemetry.frames(ValueError(SECRET)) == "ValueError"


@pytest.mark.requirement("DX-ARC-08")
def test_span_of_a_failure_says_its_type_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    with pytest.raises(ValueError, match="Zhang"), telemetry.span("step", rows=3):
        raise ValueError(SECRET)
    (span,) = kept.get_finished_spans()
    assert "Zhang" not in span.to_json()
    assert span.status.description == "ValueError"
    assert span.attributes == {"dxmesh.rows": 3}


def test_trace_context_survives_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_tracer", TracerProvider().get_tracer("test"))
    headers: dict[str, str] = {}
    with telemetry.span("one") as one:
        telemetry.inject(headers)
    with telemetry.span("two", parent=headers) as two:
        assert two.get_span_context().trace_id == one.get_span_context().trace_id
    with telemetry.span("three", parent={"traceparent": "garbage"}) as three:
        assert three.get_span_context().trace_id != one.get_span_context().trace_id


def test_case_id_does_not_stay_behind() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", (), None)
    lines = telemetry._JsonLines("labs")
    with telemetry.case("case-1"):
        assert json.loads(lines.format(record))["case"] == "case-1"
    assert "case" not in json.loads(lines.format(record))
