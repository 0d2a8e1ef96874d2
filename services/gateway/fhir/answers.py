"""FHIR answers: a stored resource, a Bundle of them, and what form the client accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.fhir import prefer
from services.gateway.fhir.outcome import NotAcceptable
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import Violation

JSON_TYPES = ("application/fhir+json", "application/json", "*/*", "application/*")
FHIR_VERSION = "4.0"
FHIR_VERSIONS = frozenset({FHIR_VERSION, "4.0.1"})
"""What `fhirVersion` may say; R4 asks for the first form, clients send the second too."""
_FORMATS = ("json", "application/json", "application/fhir+json", "text/json")


def accept_json(request: Request) -> None:
    """Let a request pass that can take JSON.

    Raises
    ------
    NotAcceptable
        `_format` or `Accept` asks for XML, Turtle, another form or another FHIR version.
    """
    asked = request.query_params.get("_format")
    if asked is not None:
        if asked.partition(";")[0].strip().replace(" ", "+") not in _FORMATS:
            raise NotAcceptable("only JSON is served", reason="NOT_ACCEPTABLE")
        return
    ranges = media_ranges(request)
    # A browser that follows a link asks for text/html: it is shown the JSON.
    if ranges and not any(r in JSON_TYPES or r == "text/html" for r in ranges):
        raise NotAcceptable(
            f"only JSON of FHIR version {FHIR_VERSION} is served", reason="NOT_ACCEPTABLE"
        )


def media_ranges(request: Request) -> list[str]:
    """Return the media ranges of `Accept`, lower-case, without parameters.

    Those with q=0 and those of another FHIR version are left out.
    """
    header = request.headers.get("accept", "").lower()
    ranges: list[str] = []
    for part in header.split(","):
        name, _, text = part.partition(";")
        parameters = [p.strip().replace(" ", "") for p in text.split(";")]
        versions = [p[12:].strip('"') for p in parameters if p.startswith("fhirversion=")]
        refused = "q=0" in parameters or not FHIR_VERSIONS.issuperset(versions)
        if name.strip() and not refused:
            ranges.append(name.strip())
    return ranges or (["none/none"] if header.strip() else [])


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


def written(
    request: Request,
    base_url: str,
    stored: Stored,
    *,
    created: bool,
    warnings: Sequence[Violation] = (),
) -> Response:
    """Return the answer to a change: as much of it as `Prefer: return` asks for."""
    status = 201 if created else 200
    headers = version_headers(stored)
    headers["Location" if created else "Content-Location"] = f"{base_url}/fhir/{address(stored)}"
    returns = prefer.parse(request.headers.get("prefer", "")).returns
    if returns == "minimal":
        return Response(None, status, headers)
    if returns == "OperationOutcome":
        content = fhir.dump(told(created=created, warnings=warnings))
        return Response(content, status, headers, media_type=fhir.MEDIA_TYPE)
    return resource(stored, status=status, headers=headers)


def address(stored: Stored) -> str:
    """Return where a version stands, relative to the base."""
    return f"{stored.type}/{stored.id}/_history/{stored.version}"


def told(*, created: bool, warnings: Sequence[Violation] = ()) -> dict[str, Any]:
    """Return the OperationOutcome of a change that was made."""
    text = "created" if created else "stored"
    issues: list[dict[str, Any]] = [
        {"severity": "information", "code": "informational", "details": {"text": text}}
    ]
    issues += issues_of(warnings, "warning", "business-rule")
    return {"resourceType": "OperationOutcome", "issue": issues}


def issues_of(violations: Sequence[Violation], severity: str, code: str) -> list[dict[str, Any]]:
    """Return one issue for each violation."""
    return [
        {
            "severity": severity,
            "code": code,
            "details": {"text": violation.problem},
            "expression": [violation.path],
        }
        for violation in violations
    ]


def version_headers(stored: Stored) -> dict[str, str]:
    """Return ETag and Last-Modified of a version."""
    return {
        "ETag": etag(stored.version),
        "Last-Modified": http_date(stored.updated_us),
        "Cache-Control": "private, no-cache",
    }


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'W/"{version}"'


def http_date(moment_us: int) -> str:
    """Return a moment, µs since 1970 UTC, as HTTP writes it."""
    return format_datetime(datetime.fromtimestamp(moment_us // 1_000_000, UTC), usegmt=True)


def json_resource(value: dict[str, Any], status: int = 200) -> Response:
    """Return a resource made for this answer."""
    headers = {"Cache-Control": "private, no-store"}
    return Response(fhir.dump(value), status, headers, media_type=fhir.MEDIA_TYPE)
