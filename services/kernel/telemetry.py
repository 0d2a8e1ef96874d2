"""Logs, traces and metrics, none of which may carry identity.

Logs are one JSON object a line with case and trace ids. An unexpected exception is logged
by type and stack frames alone: its text may quote a value. So may a library's log line or
warning: only that there was one is written. Traces and metrics go to an
OpenTelemetry collector when one is set. W3C trace context travels in NATS and gRPC headers.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from services.kernel.errors import MeshError

log = logging.getLogger(__name__)

METRIC_INTERVAL_MS = 5_000
OURS = ("services", "__main__")
"""Loggers whose text is written; that of a library may quote a value."""

_exporting = False
_case_id: ContextVar[str] = ContextVar("case_id", default="")
_tracer = _idle = trace.get_tracer("dxmesh")
_meter = metrics.get_meter("dxmesh")
_step_seconds = _meter.create_histogram(
    "dxmesh.step.duration", unit="s", description="Time one step of a case took."
)
_failures = _meter.create_counter(
    "dxmesh.failures", description="Steps that failed, by step and reason."
)
_depth = _meter.create_gauge("dxmesh.queue.depth", description="Messages waiting, by consumer.")
_oldest = _meter.create_gauge(
    "dxmesh.case.oldest_age", unit="s", description="Age of the oldest case without a report."
)
_unread = _meter.create_gauge(
    "dxmesh.critical.unread", description="Critical results that nobody has read, by tenant."
)
_unread_age = _meter.create_gauge(
    "dxmesh.critical.unread_age", unit="s", description="Time the first of them waits."
)


def start(service: str, otlp_endpoint: str | None, level: str) -> None:
    """Set up logging to stderr, and the exporters when an endpoint is given."""
    global _exporting
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    handler.addFilter(_heard)
    logging.captureWarnings(True)
    _take_over_stderr()
    if not otlp_endpoint:
        return
    resource = Resource.create({"service.name": f"dxmesh-{service}"})
    secure = otlp_endpoint.startswith("https:")
    tracing = TracerProvider(resource=resource)
    spans = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=not secure)
    tracing.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=1000))
    trace.set_tracer_provider(tracing)
    _exporting = True
    exporter = OTLPMetricExporter(endpoint=otlp_endpoint, insecure=not secure)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=METRIC_INTERVAL_MS)
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def _take_over_stderr() -> None:
    """Let nothing but JSON lines go there; gRPC's own log is off, see `services`."""
    sys.excepthook = lambda _kind, error, _trace: _log_uncaught(error)
    threading.excepthook = lambda caught: _log_uncaught(caught.exc_value)


def _log_uncaught(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, KeyboardInterrupt):
        log.critical("uncaught: %s", frames(error))


def stop() -> None:
    """Send what is still held."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if isinstance(provider, TracerProvider | MeterProvider):
            provider.shutdown()


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Mapping[str, str] | None = None,
    **attributes: str | int | float,
) -> Iterator[Span]:
    """Run the body in a span; `parent` holds the headers of the message that caused it.

    An error marks the span with its type alone. Where nothing is exported and no trace goes
    on, there is no span to make.
    """
    if not _exporting and _tracer is _idle and (parent is None or "traceparent" not in parent):
        yield trace.get_current_span()
        return
    context = propagate.extract(dict(parent)) if parent is not None else None
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes={f"dxmesh.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def inject(headers: MutableMapping[str, str]) -> None:
    """Add the W3C trace context of the current span."""
    propagate.inject(headers)


@contextmanager
def case(case_id: str) -> Iterator[None]:
    """Put a case id on every log line of the body."""
    token = _case_id.set(case_id)
    try:
        yield
    finally:
        _case_id.reset(token)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measure one step of a case, and count it when it fails."""
    began = time.perf_counter()
    try:
        yield
    except MeshError as error:
        _failures.add(1, {"step": name, "reason": error.reason})
        raise
    except Exception as error:
        _failures.add(1, {"step": name, "reason": type(error).__name__})
        raise
    _step_seconds.record(time.perf_counter() - began, {"step": name})


def took(name: str, seconds: float) -> None:
    """Record the time of a step that began in another process."""
    _step_seconds.record(seconds, {"step": name})


def failure(name: str, reason: str) -> None:
    """Count something that failed without ending its step."""
    _failures.add(1, {"step": name, "reason": reason})


def queue_depth(consumer: str, waiting: int) -> None:
    """Record how many messages wait for a consumer."""
    _depth.set(waiting, {"consumer": consumer})


def oldest_case(tenant: str, age_s: float) -> None:
    """Record the age of the oldest case that has no report yet."""
    _oldest.set(age_s, {"tenant": tenant})


def unread_critical(tenant: str, count: int, age_s: float) -> None:
    """Record how many critical results of a tenant nobody has read, and for how long."""
    _unread.set(count, {"tenant": tenant})
    _unread_age.set(age_s, {"tenant": tenant})


def frames(error: BaseException) -> str:
    """Return an exception's type and stack, without its text."""
    stack = traceback.extract_tb(error.__traceback__)[-8:]
    places = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}:{f.name}" for f in stack[::-1])
    said = f": {error.message}" if isinstance(error, MeshError) else ""
    return (
        f"{type(error).__name__}{said} at {places}" if places else f"{type(error).__name__}{said}"
    )


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


def _heard(record: logging.LogRecord) -> bool:
    """Keep our own lines, and that a library warned, without its text."""
    return _is_ours(record) or record.levelno >= logging.WARNING


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object; `extra` given as `facts` is merged in."""
        context = trace.get_current_span().get_span_context()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "message": record.getMessage() if _is_ours(record) else f"{record.name} says something",
        }
        if case_id := _case_id.get():
            line["case"] = case_id
        if context.is_valid:
            line["trace"] = trace.format_trace_id(context.trace_id)
        if record.exc_info and record.exc_info[1]:
            line["error"] = frames(record.exc_info[1])
        line |= getattr(record, "facts", {})
        return json.dumps(line, ensure_ascii=False, default=str)
