"""A Binary as its content: any media type in and out, besides the JSON of the resource.

`X-Security-Context` names the resource whose rights decide who may read the content
(R4 binary, 2.38.3): it is kept as `Binary.securityContext`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.access.rights import Visibility
from services.gateway.call import Call, body
from services.gateway.fhir import allowed, answers, content
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.search import match
from services.gateway.fhir.types import TYPES
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

CONTENT_BYTES_MAX = content.RESOURCE_BYTES_MAX * 3 // 4
"""Base64 makes four bytes of three."""
INLINE = frozenset({"application/pdf", "image/png", "text/plain", "application/json"})
"""Content types a browser may show; any other is offered for saving."""
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}(?:\s*;[ -~]{1,128})?")
_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


async def from_request(call: Call) -> dict[str, Any]:
    """Return the Binary that a request's raw content makes.

    Raises
    ------
    UnsupportedMediaType, TooLarge, InvalidInput
    """
    kind = call.request.headers.get("content-type", "").strip()
    if not _MEDIA_TYPE.fullmatch(kind.lower()) or kind.lower().startswith("application/fhir+"):
        raise UnsupportedMediaType("the content must say its media type; FHIR is taken as JSON")
    data = await body(call.request, CONTENT_BYTES_MAX)
    made: dict[str, Any] = {"resourceType": "Binary", "contentType": kind}
    if context := call.request.headers.get("x-security-context", "").strip():
        reference = context.removeprefix(f"{call.base_url}/fhir/")
        named = _REFERENCE.fullmatch(reference)
        if named is None or named[1] not in TYPES:
            problem = Violation("http.X-Security-Context", "a reference such as Patient/1")
            raise InvalidInput("the header cannot be used", [problem], reason="BAD_REQUEST")
        made["securityContext"] = {"reference": reference}
    if data:
        made["data"] = base64.b64encode(data).decode()
    return made


async def sees(call: Call, visibility: Visibility, stored: Stored) -> bool:
    """Tell whether a Binary may be read: one with a security context as that resource may.

    A deleted one counts as it last was. One that is not here decides nothing: the Binary is
    then one like any other. Its own label counts in any case.
    """
    binary = fhir.parse(stored.content)
    if not visibility.restricted and match.restricted(binary):
        return False
    context = _context(binary)
    found = await call.store.resources.find(call.tenant, *context) if context else None
    if found and found.deleted:
        found = await call.store.resources.read_version(
            call.tenant, found.type, found.id, found.version - 1
        )
    if found:
        return allowed.sees(visibility, found)
    binary = {name: value for name, value in binary.items() if name != "securityContext"}
    return match.visible(visibility, binary)


def wants_content(request: Request) -> bool:
    """Tell whether a Binary is asked for as its content (R4 binary, 2.38.4)."""
    if request.query_params.get("_format"):
        return False
    ranges = answers.media_ranges(request)
    return not any(name in ("application/fhir+json", "application/json") for name in ranges)


def respond(found: Stored) -> Response:
    """Return the content of a Binary."""
    binary = fhir.parse(found.content)
    kind = str(binary.get("contentType", "")).partition(";")[0].strip()
    if not _MEDIA_TYPE.fullmatch(kind.lower()):  # R4's own pattern lets a line break pass
        kind = ""
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
    if context := _context(binary):
        headers["X-Security-Context"] = "/".join(context)
    data = base64.b64decode(binary.get("data", ""))
    # Sent as what it says it is: a browser takes it for nothing else (nosniff, sandbox).
    return Response(data, headers=headers, media_type=kind or "application/octet-stream")


def _context(binary: Mapping[str, Any]) -> tuple[str, str] | None:
    context = binary.get("securityContext")
    literal = context.get("reference") if isinstance(context, Mapping) else None
    named = _REFERENCE.fullmatch(literal) if isinstance(literal, str) else None
    return (named[1], named[2]) if named else None
