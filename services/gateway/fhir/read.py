"""read and vread: GET /fhir/{type}/{id}[/_history/{version}]. A Binary comes as its content."""

from __future__ import annotations

import base64
import re

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import answers
from services.gateway.fhir.parameters import PARAMETERS
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
INLINE = frozenset({"application/pdf", "image/png", "text/plain", "application/json"})
"""Content types a browser may show; any other is offered for saving."""


async def read(call: Call) -> Response:
    """Return the current version of a resource."""
    kind, resource_id = checked(call)
    found = await call.store.resources.read(call.tenant, kind, resource_id)
    return await _answer(call, found)


async def vread(call: Call) -> Response:
    """Return one version of a resource."""
    kind, resource_id = checked(call)
    version = call.path("version")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise NotFound("there is no such version")
    found = await call.store.resources.read_version(call.tenant, kind, resource_id, int(version))
    return await _answer(call, found)


def checked(call: Call) -> tuple[str, str]:
    """Return type and id of the path.

    Raises
    ------
    NotFound
        A type that is not served.
    InvalidInput
        Not an R4 id.
    """
    kind, resource_id = call.path("type"), call.path("id")
    if kind not in PARAMETERS:
        raise NotFound("this resource type is not served", reason="TYPE_NOT_SERVED")
    if not _ID.fullmatch(resource_id):
        problem = Violation(f"{kind}.id", "1 to 64 letters, digits, '-' and '.'")
        raise InvalidInput("not a FHIR id", [problem], reason="BAD_REQUEST")
    return kind, resource_id


async def _answer(call: Call, found: Stored) -> Response:
    raw = found.type == "Binary" and _wants_content(call)
    if not raw:
        answers.accept_json(call.request)
    name = f"{found.type}/{found.id}/_history/{found.version}"
    interaction = "vread" if "version" in call.request.path_params else "read"
    await call.audit(interaction, name, case_id=found.case_id)
    if call.request.headers.get("if-none-match") == f'W/"{found.version}"':
        return Response(status_code=304, headers=answers.version_headers(found))
    return _content(found) if raw else answers.resource(found)


def _wants_content(call: Call) -> bool:
    """Tell whether a Binary is asked for as its content (R4 binary, 2.38.4)."""
    if call.request.query_params.get("_format"):
        return False
    ranges = answers.media_ranges(call.request)
    return not any(name in ("application/fhir+json", "application/json") for name in ranges)


def _content(found: Stored) -> Response:
    binary = fhir.parse(found.content)
    kind = str(binary["contentType"]).partition(";")[0].strip()
    known = kind in INLINE
    extension = {"application/pdf": ".pdf", "image/png": ".png"}.get(kind, "")
    disposition = "inline" if known else "attachment"
    headers = {
        **answers.version_headers(found),
        "Content-Disposition": f'{disposition}; filename="{found.id}{extension}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if kind == "application/pdf":  # a sandbox stops the browser's own PDF viewer
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    content = base64.b64decode(binary.get("data", ""))
    return Response(
        content, headers=headers, media_type=kind if known else "application/octet-stream"
    )
