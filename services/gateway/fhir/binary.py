"""A Binary as its content: any media type in and out, besides the JSON of the resource.

`X-Security-Context` names the resource whose rights decide who may read the content
(R4 binary, 2.38.3): it is kept as `Binary.securityContext`. Who that is: `fhir.binary_rights`.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.call import Call, body
from services.gateway.fhir import answers, content
from services.gateway.fhir.binary_rights import REFERENCE, context_of
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.types import TYPES
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

CONTENT_BYTES_MAX = content.RESOURCE_BYTES_MAX * 3 // 4
"""Base64 makes four bytes of three."""
INLINE = frozenset({"application/pdf", "image/png", "text/plain", "application/json"})
"""Content types a browser may show; any other is offered for saving."""
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}(?:\s*;[ -~]{1,128})?")


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
        named = REFERENCE.fullmatch(reference)
        if named is None or named[1] not in TYPES:
            problem = Violation("http.X-Security-Context", "a reference such as Patient/1")
            raise InvalidInput("the header cannot be used", [problem], reason="BAD_REQUEST")
        made["securityContext"] = {"reference": reference}
    if data:
        made["data"] = base64.b64encode(data).decode()
    return made


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
    if context := context_of(binary):
        headers["X-Security-Context"] = "/".join(context)
    data = base64.b64decode(binary.get("data", ""))
    # Sent as what it says it is: a browser takes it for nothing else (nosniff, sandbox).
    return Response(data, headers=headers, media_type=kind or "application/octet-stream")
