"""An entry of a Bundle as a request of its own: same routes, same rights, its own audit entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message

from services.gateway.call import Call
from services.gateway.fhir import outcome
from services.gateway.fhir.bundles import Asked
from services.gateway.fhir.patch import JSON_PATCH, of_binary
from services.kernel import fhir
from services.kernel.errors import InvalidInput, MeshError, NotFound

Json = dict[str, Any]
Run = Callable[[Call], Awaitable[Response]]
REASONS = {200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified"}
_KEPT = (b"host", b"accept-language", b"purpose", b"x-request-id", b"user-agent")
"""Headers of the Bundle's request that its entries share."""


async def entry(call: Call, asked: Asked) -> Json:
    """Return the response entry; an error is one too."""
    try:
        response = await _run(call, asked)
    except Exception as error:  # noqa: BLE001 - every entry is answered, none is shown raw
        return failed(outcome.as_mesh_error(error))
    made: Json = {"status": _status(response.status_code)}
    for header, name in (("location", "location"), ("etag", "etag")):
        if value := response.headers.get(header):
            made[name] = value.removeprefix(f"{call.base_url}/fhir/")
    if value := response.headers.get("last-modified"):
        made["lastModified"] = _instant(value)
    content = bytes(response.body)
    answered: Json = {"response": made}
    if content and response.headers.get("content-type", "").startswith(fhir.MEDIA_TYPE):
        if b'"OperationOutcome"' in content[:64]:
            made["outcome"] = orjson.Fragment(content)
        else:
            answered = {"resource": orjson.Fragment(content), "response": made}
    return answered


def failed(error: MeshError) -> Json:
    """Return the response entry of an error."""
    status = _status(outcome.http_status(error))
    return {"response": {"status": status, "outcome": fhir.outcome(error)}}


async def _run(call: Call, asked: Asked) -> Response:
    inner, run = matched(call, asked)
    return await run(inner)


def matched(call: Call, asked: Asked) -> tuple[Call, Run]:
    """Return the entry as a request of its own, and what answers it.

    Raises
    ------
    NotFound, MethodNotAllowed, InvalidInput
    """
    scope = _scope(call, asked)
    routes: list[tuple[Route, Run]] = call.request.app.state.fhir_routes
    partial = False
    for route, run in routes:
        fits, child = route.matches(scope)
        if fits is Match.FULL:
            scope.update(child)
            inner = Call(
                Request(scope, _receive(asked)), call.gateway, call.principal, call.session
            )
            return inner, run
        partial = partial or fits is Match.PARTIAL
    if partial:
        raise outcome.MethodNotAllowed("this address does not take this method")
    raise NotFound("there is nothing at this address")


def _scope(call: Call, asked: Asked) -> dict[str, Any]:
    if not asked.path or asked.path.startswith("$"):
        raise InvalidInput(
            "an entry cannot be a Bundle or an operation of the system", reason="BAD_REQUEST"
        )
    path = f"/fhir/{asked.path}"
    outer = call.request.scope
    headers = [(name, value) for name, value in outer["headers"] if name in _KEPT]
    headers += [(name.encode(), value.encode()) for name, value in asked.headers.items()]
    headers += [(b"accept", b"application/fhir+json"), (b"content-type", _media_type(asked))]
    preferred = call.request.headers.get("prefer", "")
    if "return=" not in preferred and not asked.is_read:
        preferred = f"{preferred}, return=minimal".lstrip(", ")
    headers.append((b"prefer", preferred.encode()))
    return {
        **outer,
        "method": asked.method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": asked.query.encode(),
        "headers": headers,
        "path_params": {},
        "state": {},
    }


def _media_type(asked: Asked) -> bytes:
    if asked.method == "PATCH" and asked.resource and asked.resource["resourceType"] == "Binary":
        return JSON_PATCH.encode()
    return fhir.MEDIA_TYPE.encode()


def _receive(asked: Asked) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        content = b""
        if asked.resource is not None:
            is_patch = _media_type(asked) == JSON_PATCH.encode()
            content = fhir.dump(of_binary(asked.resource).value if is_patch else asked.resource)
        return {"type": "http.request", "body": content, "more_body": False}

    return receive


def _status(code: int) -> str:
    return f"{code} {REASONS[code]}" if code in REASONS else str(code)


def _instant(http_date: str) -> str:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(http_date).strftime("%Y-%m-%dT%H:%M:%SZ")
