"""A real OTLP receiver, gRPC and JSON over HTTP: what an OpenTelemetry collector would have got."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf import json_format
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
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _json_handler(self))
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def http_url(self) -> str:
        """Address for spans as JSON over HTTP, which Triton sends."""
        return f"http://127.0.0.1:{self._http.server_port}/v1/traces"

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
        self._http.shutdown()
        self._http.server_close()


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


def _json_handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = trace_service_pb2.ExportTraceServiceRequest()
            json_format.ParseDict(_as_protobuf_json(sent), request, ignore_unknown_fields=True)
            receiver.keep("spans", request)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _as_protobuf_json(value: Any, name: str = "") -> Any:
    """Return OTLP's JSON with ids in base64: OTLP writes them in hexadecimal."""
    if isinstance(value, dict):
        return {key: _as_protobuf_json(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_protobuf_json(item, name) for item in value]
    if name in ("traceId", "spanId", "parentSpanId"):
        return base64.b64encode(bytes.fromhex(value)).decode()
    return value


def _service(resource: Any) -> str:
    names = [a.value.string_value for a in resource.attributes if a.key == "service.name"]
    return names[0] if names else ""
