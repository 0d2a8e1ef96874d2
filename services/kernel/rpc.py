"""gRPC between services: mutual TLS, health, reflection, deadlines, retries, typed errors.

A server translates a `MeshError` into a status with `google.rpc.ErrorInfo` (reason, facts)
and, for wrong input, `BadRequest` (every path). `call` translates it back, so a domain
error crosses the wire whole. A service answers only callers named for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from services.kernel import telemetry
from services.kernel.errors import (
    Busy,
    Forbidden,
    MeshError,
    RemoteError,
    Unavailable,
    Violation,
    as_outage,
    first_of,
)
from services.kernel.settings import MeshSettings

log = logging.getLogger(__name__)

ResponseT = TypeVar("ResponseT")

MESSAGE_BYTES_MAX = 4 << 20
CHUNK_BYTES = 512 << 10
HANDLER_LIMIT_S = 300.0
"""A call that carries no deadline of its own is ended after this."""
RETRY_S_MAX = 60.0
READ_OUT_S = 30.0  # in which the rest of a refused upload is read and dropped
DOMAIN = "dxmesh"
VIOLATIONS_BYTES_MAX = 4 << 10
"""A status travels in a trailer, and gRPC refuses a call whose trailers are over 8 KiB."""

_RETRY = {"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2}
_RETRIES = {"name": [{}], "retryPolicy": _RETRY | {"retryableStatusCodes": ["UNAVAILABLE"]}}
_SERVICE_CONFIG = json.dumps({"methodConfig": [_RETRIES]})
_PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"}


class Server:
    """The gRPC server of one service process."""

    def __init__(self, service: str, settings: MeshSettings) -> None:
        self._settings = settings
        self._callers: dict[str, frozenset[str]] = {}
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.so_reuseport", 0)]
        self._guard = _Guard(service, self._callers, secure=settings.tls_dir is not None)
        self._server = grpc.aio.server(interceptors=[self._guard], options=options)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        self.port = 0

    def add(
        self,
        register: Callable[[Any, grpc.aio.Server], None],
        servicer: object,
        name: str,
        callers: Collection[str],
    ) -> None:
        """Serve `servicer` under its full proto name to the named calling services.

        It may have `calls_at_once`, the most calls of a unary method by its name: what is over
        is answered `Busy` before its message is read.
        """
        register(servicer, self._server)
        for method, most in getattr(servicer, "calls_at_once", {}).items():
            self._guard.at_once[name, method] = most
        self._names.append(name)
        self._callers[name] = frozenset(callers)

    async def start(self) -> None:
        """Listen and report health SERVING."""
        reflection.enable_server_reflection(self._names, self._server)
        address, tls = self._settings.grpc_listen, self._settings.tls_dir
        if tls:
            self.port = self._server.add_secure_port(address, await asyncio.to_thread(_server, tls))
        else:
            self.port = self._server.add_insecure_port(address)
        await self._server.start()
        for name in ["", *self._callers]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, drain_s: float) -> None:
        """Report NOT_SERVING, let calls in flight end, then close."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(drain_s)


def connect(address: str, settings: MeshSettings) -> grpc.aio.Channel:
    """Return a channel to a peer, host:port; it connects when first used, and again."""
    options = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if settings.tls_dir:
        ca, certificate, key = _material(settings.tls_dir)
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        return grpc.aio.secure_channel(address, credentials, options=options)
    return grpc.aio.insecure_channel(address, options=options)


async def call(
    method: Callable[..., Awaitable[ResponseT]],
    request: Message | bytes | AsyncIterable[Message],
    *,
    timeout_s: float,
) -> ResponseT:
    """Call a peer under a deadline, carrying the trace; raise its error as a MeshError.

    Raises
    ------
    Unavailable
        The peer is away, slow or broken for now.
    RemoteError
        The peer's lasting error with reason, facts and violations.
    """
    headers: dict[str, str] = {}
    telemetry.inject(headers)
    try:
        return await method(request, timeout=timeout_s, metadata=tuple(headers.items()))
    except grpc.aio.AioRpcError as error:
        raise _as_mesh_error(error) from error


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """Yield content in pieces fit for one message of a stream."""
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]


def to_status(error: MeshError) -> status_pb2.Status:
    """Return the `google.rpc.Status` of an error, details included."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.facts)
    details: list[Message] = [info]
    if violations := getattr(error, "violations", None):
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=v.path, description=v.problem)
            for v in first_of(violations, VIOLATIONS_BYTES_MAX)
        ]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    if error.retry_after_s is not None:
        again = error_details_pb2.RetryInfo()
        again.retry_delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        details.append(again)
    status = status_pb2.Status(code=code_pb2.Code.Value(error.grpc_status), message=error.message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _as_mesh_error(error: grpc.aio.AioRpcError) -> MeshError:
    name = error.code().name
    info, again = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    violations: list[Violation] = []
    status = rpc_status.from_call(cast(grpc.Call, error))
    for detail in status.details if status else []:
        bad = error_details_pb2.BadRequest()
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
            violations = [Violation(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(again.DESCRIPTOR):
            detail.Unpack(again)
    if name in _PASSING:
        passing = Unavailable(f"a peer answered {name}", reason=info.reason or name)
        if again.HasField("retry_delay"):
            passing.retry_after_s = min(again.retry_delay.ToNanoseconds() / 1e9, RETRY_S_MAX)
        return passing
    message = status.message if status else name
    return RemoteError(
        message,
        reason=info.reason or name,
        grpc_status=name,
        facts=dict(info.metadata),
        violations=violations,
    )


async def _read_out(request: Any) -> None:
    """Take what a caller still streams: grpc.aio makes INTERNAL of a write that meets the end
    of its call, and a lasting refusal would be tried again."""
    if isinstance(request, AsyncIterable):
        with contextlib.suppress(TimeoutError, grpc.aio.BaseError):
            async with asyncio.timeout(READ_OUT_S):
                async for _ in request:
                    continue


class _Guard(grpc.aio.ServerInterceptor):
    """Checks the caller, continues its trace, ends overlong calls, translates errors."""

    def __init__(self, service: str, callers: dict[str, frozenset[str]], *, secure: bool) -> None:
        self._service, self._callers, self._secure = service, callers, secure
        self.at_once: dict[tuple[str, str], int] = {}
        self._running: Counter[tuple[str, str]] = Counter()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Wrap the handlers of our own services; health and reflection stay open."""
        handler = await continuation(details)
        service, _, method = details.method.lstrip("/").partition("/")
        if handler is None or service not in self._callers:
            return handler
        inner, make = (
            handler.unary_unary or handler.stream_unary,
            grpc.stream_unary_rpc_method_handler,
        )
        if inner is None:
            raise NotImplementedError("answers are not streamed: the caller would go unchecked")
        if (service, method) in self.at_once:
            # As a stream of one message, it is read when it is asked for, and not before.
            inner = self._limited(inner, (service, method))
        elif handler.unary_unary:
            make = grpc.unary_unary_rpc_method_handler
        wrapped = self._wrap(inner, service, method)
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _wrap(self, inner: Any, service: str, method: str) -> Any:
        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            parent = {key: str(value) for key, value in context.invocation_metadata() or ()}
            name = f"{self._service} {method}"
            try:
                with telemetry.span(name, kind=SpanKind.SERVER, parent=parent):
                    self._check(context, service)
                    async with asyncio.timeout(HANDLER_LIMIT_S):
                        return await inner(request, context)
            except MeshError as error:
                if not isinstance(error, Busy):
                    await _read_out(request)
                await context.abort_with_status(_call_status(error))
            except Exception as error:  # noqa: BLE001 - nothing of it may reach the caller
                await context.abort_with_status(_call_status(self._unexpected(method, error)))

        return handle

    def _limited(self, inner: Any, place: tuple[str, str]) -> Any:
        async def handle(requests: AsyncIterator[Any], context: Any) -> Any:
            most = self.at_once[place]
            if self._running[place] >= most:
                raise Busy(f"{most} calls are under way", at_once=most)
            self._running[place] += 1
            try:
                return await inner(await anext(aiter(requests)), context)
            finally:
                self._running[place] -= 1

        return handle

    def _unexpected(self, method: str, error: Exception) -> MeshError:
        if outage := as_outage(error):
            log.warning("%s waits: %s", method, telemetry.frames(error))
            return outage
        log.error("%s failed: %s", method, telemetry.frames(error))
        return MeshError("an unexpected error; the service's log has the place")

    def _check(self, context: grpc.aio.ServicerContext[Any, Any], service: str) -> None:
        if not self._secure:
            return
        names = list(context.auth_context().get("x509_common_name", []))
        caller = names[0].decode() if names else ""
        if caller not in self._callers[service]:
            raise Forbidden(f"{caller or 'an unknown caller'} may not call {service}")


def _call_status(error: MeshError) -> Any:
    return rpc_status.to_status(to_status(error))


def _material(folder: Path) -> tuple[bytes, bytes, bytes]:
    """Return CA, certificate and key, under the names of a Kubernetes TLS secret."""
    ca, certificate, key = (folder / name for name in ("ca.crt", "tls.crt", "tls.key"))
    return ca.read_bytes(), certificate.read_bytes(), key.read_bytes()


def _server(folder: Path) -> grpc.ServerCredentials:
    ca, certificate, key = _material(folder)
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
