"""Answers of OAuth endpoints: JSON, never kept by a cache, open to any origin.

No cookie is read at these endpoints, so any page may call them with a plain form, as a browser
app does; `fhir/transport.py` answers what browsers ask before more than that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from opentelemetry.trace import SpanKind
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.gateway.call import form_of
from services.gateway.fhir import outcome
from services.gateway.smart.errors import InvalidClient, OAuthError
from services.gateway.smart.server import Server
from services.kernel import telemetry
from services.kernel.errors import MeshError

FORM_BYTES_MAX = 64 << 10
CORS = {"Access-Control-Allow-Origin": "*"}
FRESH = {"Cache-Control": "no-store", "Pragma": "no-cache"}
Handler = Callable[[Request, Server], Awaitable[Response]]


def answer(content: Mapping[str, Any]) -> Response:
    """Return a document that may hold a secret."""
    return JSONResponse(dict(content), headers={**CORS, **FRESH})


def endpoint(server: Server, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint whose errors are OAuth errors."""

    async def run(request: Request) -> Response:
        name = f"gateway {request.method} {request.url.path}"
        try:
            with telemetry.span(name, kind=SpanKind.SERVER, parent=dict(request.headers)):
                return await handler(request, server)
        except OAuthError as error:
            return _refusal(error)
        except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
            return _trouble(outcome.as_mesh_error(error))

    return run


def _refusal(error: OAuthError) -> Response:
    headers = {**CORS, **FRESH}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="dxmesh"'
    content = {"error": error.code, "error_description": error.description}
    return JSONResponse(content, error.status, headers)


def _trouble(error: MeshError) -> Response:
    status = outcome.http_status(error)
    code = "temporarily_unavailable" if status == 503 else "server_error"
    if status < 500:
        code = "invalid_request"
    headers = {**CORS, **FRESH}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse({"error": code, "error_description": error.message}, status, headers)


async def fields_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, each given once (RFC 6749, 3.2).

    Raises
    ------
    OAuthError
    """
    form: FormData = await form_of(request, FORM_BYTES_MAX)
    pairs = [(name, str(value)) for name, value in form.multi_items()]
    if len({name for name, _ in pairs}) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is given more than once")
    return {name: value for name, value in pairs if value}


def basic(header: str) -> tuple[str, str]:
    """Return id and secret of an Authorization header (RFC 6749, 2.3.1).

    Raises
    ------
    InvalidClient
    """
    scheme, _, encoded = header.partition(" ")
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise InvalidClient("the Authorization header cannot be read") from error
    if scheme.lower() != "basic" or not colon:
        raise InvalidClient("the Authorization header is not Basic")
    return unquote_plus(name), unquote_plus(secret)
