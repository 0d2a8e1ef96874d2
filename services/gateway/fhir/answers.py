"""FHIR answers: a stored resource, a Bundle of them, and what form the client accepts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.fhir.outcome import NotAcceptable
from services.gateway.store.resources import Stored
from services.kernel import fhir

JSON_TYPES = ("application/fhir+json", "application/json", "*/*", "application/*")
_FORMATS = ("json", "application/json", "application/fhir+json")


def accept_json(request: Request) -> None:
    """Let a request pass that can take JSON.

    Raises
    ------
    NotAcceptable
        `_format` or `Accept` asks for XML, Turtle or another form.
    """
    asked = request.query_params.get("_format")
    if asked is not None:
        if asked.replace(" ", "+") not in _FORMATS:
            raise NotAcceptable("only JSON is served", reason="NOT_ACCEPTABLE")
        return
    ranges = media_ranges(request)
    # A browser that follows a link asks for text/html: it is shown the JSON.
    if ranges and not any(r in JSON_TYPES or r == "text/html" for r in ranges):
        raise NotAcceptable("only JSON is served", reason="NOT_ACCEPTABLE")


def media_ranges(request: Request) -> list[str]:
    """Return the media ranges of `Accept`, lower-case, without parameters; q=0 is left out."""
    ranges: list[str] = []
    for part in request.headers.get("accept", "").split(","):
        name, _, parameters = part.partition(";")
        if name.strip() and "q=0" not in parameters.replace(" ", "").split(";"):
            ranges.append(name.strip().lower())
    return ranges


def resource(
    stored: Stored, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a stored version as it is stored."""
    return Response(
        stored.content,
        status,
        {**version_headers(stored), **(headers or {})},
        media_type=fhir.MEDIA_TYPE,
    )


def version_headers(stored: Stored) -> dict[str, str]:
    """Return ETag and Last-Modified of a version."""
    moment = datetime.fromtimestamp(stored.updated_us // 1_000_000, UTC)
    return {
        "ETag": f'W/"{stored.version}"',
        "Last-Modified": format_datetime(moment, usegmt=True),
        "Cache-Control": "private, no-cache",
    }


def json_resource(value: dict[str, Any], status: int = 200) -> Response:
    """Return a resource made for this answer."""
    headers = {"Cache-Control": "private, no-store"}
    return Response(fhir.dump(value), status, headers, media_type=fhir.MEDIA_TYPE)
