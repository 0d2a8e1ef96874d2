"""An OperationOutcome for every error, with the HTTP status that fits it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from services.kernel import fhir, telemetry
from services.kernel.errors import (
    KeyDestroyed,
    MeshError,
    NotFound,
    Unauthenticated,
    Unavailable,
    as_outage,
)

log = logging.getLogger(__name__)

STATUS = {
    "INVALID_ARGUMENT": 422,
    "OUT_OF_RANGE": 413,
    "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 422,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
}
"""HTTP status of a gRPC status; any other is 500."""

SYNTAX = frozenset(
    {"NOT_JSON", "NOT_UTF8", "TOO_DEEP", "DUPLICATE_KEY", "LONG_NUMBER", "BAD_REQUEST"}
)
"""Reasons that mean the content could not even be read: 400, not 422 (R4 http, 3.1.0.8)."""


class MethodNotAllowed(MeshError):
    """There is such an address, but not for this HTTP method."""

    issue = "not-supported"


class NotAcceptable(MeshError):
    """Only JSON can be had."""

    issue = "not-supported"


class UnsupportedMediaType(MeshError):
    """The content is of a kind that is not taken here."""

    issue = "not-supported"


class Gone(MeshError):
    """The resource was deleted; its history may still be read."""

    issue = "deleted"
    grpc_status = "NOT_FOUND"


class PreconditionFailed(MeshError):
    """`If-Match`, `If-None-Match` or a condition that several resources meet: 412."""

    issue = "conflict"
    grpc_status = "FAILED_PRECONDITION"


class MultipleMatches(PreconditionFailed):
    """A conditional interaction found more than one resource."""

    issue = "multiple-matches"


class RangeNotSatisfiable(MeshError):
    """A `Range` outside of the content: 416."""

    issue = "invalid"
    grpc_status = "OUT_OF_RANGE"


class TooManyRequests(MeshError):
    """Tried too often; `retry_after_s` says when to try again."""

    issue = "throttled"
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, reason="TOO_MANY_REQUESTS")
        self.retry_after_s = retry_after_s


_OWN: dict[type[MeshError], int] = {
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    UnsupportedMediaType: 415,
    KeyDestroyed: 410,
    Gone: 410,
    PreconditionFailed: 412,
    RangeNotSatisfiable: 416,
}


def http_status(error: MeshError) -> int:
    """Return the HTTP status of an error."""
    for kind, status in _OWN.items():
        if isinstance(error, kind):
            return status
    if error.reason in SYNTAX:
        return 400
    return STATUS.get(error.grpc_status, 500)


def as_mesh_error(error: Exception) -> MeshError:
    """Return what an exception means; one nobody foresaw is logged by place, not by text."""
    if isinstance(error, MeshError):
        return error
    if isinstance(error, HTTPException):
        return _framework(error)
    if isinstance(error, ClientDisconnect):
        return Unavailable("the client went away")
    if outage := as_outage(error):
        log.warning("a request waits: %s", telemetry.frames(error))
        return outage
    log.error("a request failed: %s", telemetry.frames(error))
    return MeshError("an unexpected error; the gateway's log has the place")


def respond(error: MeshError, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that failed."""
    status = http_status(error)
    more = dict(headers or {})
    if wanted := _challenge(error):
        more["WWW-Authenticate"] = wanted
    if error.retry_after_s is not None:
        more["Retry-After"] = str(max(1, round(error.retry_after_s)))
    content = fhir.dump(fhir.outcome(error))
    return Response(content, status, more, media_type=fhir.MEDIA_TYPE)


def _challenge(error: MeshError) -> str:
    """Return what a client is told about the token it needs (RFC 6750, 3)."""
    codes = {"INVALID_TOKEN": "invalid_token", "INSUFFICIENT_SCOPE": "insufficient_scope"}
    code = codes.get(error.reason, "")
    if code or isinstance(error, Unauthenticated):
        return 'Bearer realm="dxmesh"' + (f', error="{code}"' if code else "")
    return ""


def _framework(error: HTTPException) -> MeshError:
    if error.status_code == 404:
        return NotFound("there is nothing at this address; GET /fhir/metadata says what there is")
    if error.status_code == 405:
        return MethodNotAllowed("this address does not take this method")
    return MeshError("the request was refused", reason="BAD_REQUEST")
