"""A real OTLP gRPC receiver: what an OpenTelemetry collector would have got."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Receiver:
    """Keeps every span and metric that was exported to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Any] = []
        self._metrics: list[Any] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def url(self) -> str:
        """Endpoint for `DX_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[tuple[str, Any]]:
        """Return (service name, span) pairs received so far."""
        with self._lock:
            received = list(self._spans)
        return [
            (_service(group.resource), span)
            for request in received
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> list[tuple[str, Any]]:
        """Return (service name, metric) pairs received so far."""
        with self._lock:
            received = list(self._metrics)
        return [
            (_service(group.resource), metric)
            for request in received
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        ]

    def exported(self) -> list[bytes]:
        """Return every request received as it came, to search."""
        with self._lock:
            requests = [*self._spans, *self._metrics]
        return [request.SerializeToString() for request in requests]

    def keep(self, kind: str, request: Any) -> None:
        """Keep one export request."""
        with self._lock:
            (self._spans if kind == "spans" else self._metrics).append(request)

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(0)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._receiver.keep("spans", request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._receiver.keep("metrics", request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _service(resource: Any) -> str:
    names = [a.value.string_value for a in resource.attributes if a.key == "service.name"]
    return names[0] if names else ""
