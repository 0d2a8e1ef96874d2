"""The content of a request: its media type, its size, and the resource in it.

Content may be sent with `Content-Encoding: gzip`; what it unpacks to counts against the limit.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from services.gateway.call import Call, body
from services.gateway.fhir import validation
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.fhir.types import TYPES
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

RESOURCE_BYTES_MAX = 16 << 20
"""Largest single resource, bytes."""
PARAMETERS_BYTES_MAX = 64 << 10
NUMBER_CHARS_MAX = 64
"""Longest number; R4 asks for 18 significant digits to be kept."""
JSON_TYPES = frozenset({"application/fhir+json", "application/json"})
INLINE_BYTES_MAX = 32 << 10
"""Up to this a resource is read in the event loop; a larger one in a thread."""
NO_OPERATION = "there is no such operation here; GET /fhir/metadata says which there are"
_TAKEN = {"fhirversion": ("4.0", "4.0.1"), "charset": ("utf-8", "utf8", "us-ascii")}
"""What parameters of the media type may say; the first is told."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_LONG = re.compile(rb"[0-9.eE+\-]{%d}" % (NUMBER_CHARS_MAX + 1))

Json = dict[str, Any]


def media_type(call: Call) -> str:
    """Return the request's media type, lower-case, without parameters."""
    return call.request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_json(call: Call) -> None:
    """Let a request pass whose content is JSON of FHIR R4 in UTF-8.

    Raises
    ------
    UnsupportedMediaType
        Another media type, `fhirVersion` or `charset`.
    """
    if media_type(call) not in JSON_TYPES:
        raise UnsupportedMediaType("the content must be application/fhir+json")
    _, _, text = call.request.headers.get("content-type", "").lower().partition(";")
    for parameter in text.split(";"):
        name, _, value = parameter.replace(" ", "").partition("=")
        if value.strip('"') not in _TAKEN.get(name, (value.strip('"'),)):
            raise UnsupportedMediaType(f"{name} may be {_TAKEN[name][0]} alone")


async def read_json(call: Call, limit: int = RESOURCE_BYTES_MAX) -> tuple[bytes, Json]:
    """Return the request's bytes, and the JSON object in them.

    Raises
    ------
    UnsupportedMediaType, TooLarge, InvalidInput
    """
    require_json(call)
    content = await body(call.request, limit)
    return content, as_object(await run_heavy(len(content), parse, content))


async def read_json_if_any(call: Call) -> Json | None:
    """Return the JSON object in a request; None where it has no content.

    Raises
    ------
    UnsupportedMediaType, TooLarge, InvalidInput
    """
    content = await body(call.request, RESOURCE_BYTES_MAX)
    if not content.strip():
        return None
    require_json(call)
    return as_object(await run_heavy(len(content), parse, content))


async def read_parameters(call: Call) -> list[tuple[str, Any]]:
    """Return names and values of the Parameters in a POST; none where it has no content.

    Raises
    ------
    UnsupportedMediaType, TooLarge, InvalidInput
    """
    if call.request.method != "POST":
        return []
    came = await body(call.request, PARAMETERS_BYTES_MAX)
    if not came.strip():
        return []
    require_json(call)
    parameters = as_object(parse(came))
    require_type(parameters, "Parameters")
    listed = parameters.get("parameter", [])
    found: list[tuple[str, Any]] = []
    for item in listed if isinstance(listed, list) else [None]:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            problem = Violation("Parameters.parameter", "each has a name")
            raise InvalidInput("the parameters cannot be read", [problem], reason="BAD_REQUEST")
        found += [(item["name"], item[name]) for name in item if name.startswith("value")]
    return found


async def run_heavy(size: int, work: Any, *arguments: Any) -> Any:
    """Return what `work` returns, run in a thread where its input is large."""
    if size <= INLINE_BYTES_MAX:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


def parse(content: bytes) -> Any:
    """Return a JSON value, within the limits of depth and of the length of a number.

    Raises
    ------
    InvalidInput
    """
    if not content.strip():
        raise InvalidInput("the content is empty", reason="NOT_JSON")
    if _LONG.search(content) and _LONG.search(_STRINGS.sub(b'""', content)):
        raise InvalidInput(
            f"a number is longer than {NUMBER_CHARS_MAX} characters", reason="LONG_NUMBER"
        )
    return fhir.parse(content)


def as_object(value: Any) -> Json:
    """Return the value, which must be a JSON object with a resourceType."""
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        problem = Violation("resourceType", "the content must be one FHIR resource")
        raise InvalidInput("not a FHIR resource", [problem], reason="BAD_REQUEST")
    return value


def require_type(resource: Json, kind: str) -> None:
    """Let a resource of this type pass.

    Raises
    ------
    InvalidInput
    """
    if resource["resourceType"] != kind:
        problem = Violation("resourceType", f"must be {kind}, as in the address")
        raise InvalidInput("another resource type", [problem], reason="BAD_REQUEST")


def require_id(resource: Json, resource_id: str) -> None:
    """Let a resource pass whose id is the one in the address.

    Raises
    ------
    InvalidInput
    """
    if resource.get("id") != resource_id:
        problem = Violation(f"{resource['resourceType']}.id", "must be the id in the address")
        raise InvalidInput("the id does not match", [problem], reason="BAD_REQUEST")


async def require_conformant(resource: Json, size: int) -> None:
    """Let a resource pass that conforms to R4; `size` is about how many bytes it has.

    Raises
    ------
    InvalidInput
    """
    await run_heavy(size, validation.require, resource)


def kind_of(name: str) -> str:
    """Return a resource type that is served.

    Raises
    ------
    NotFound
    """
    if name.startswith("$"):
        raise NotFound(NO_OPERATION, reason="NOT_SERVED")
    if name not in TYPES:
        raise NotFound("there is no such resource type in R4", reason="TYPE_NOT_SERVED")
    return name


def id_of(text: str, kind: str = "Resource") -> str:
    """Return an R4 id.

    Raises
    ------
    NotFound, InvalidInput
        An operation that is not served here; not an id.
    """
    if text.startswith("$"):
        raise NotFound(NO_OPERATION, reason="NOT_SERVED")
    if not _ID.fullmatch(text) or not text.strip("."):  # a path may not step out of its folder
        problem = Violation(f"{kind}.id", "1 to 64 letters, digits, '-' and '.'")
        raise InvalidInput("not a FHIR id", [problem], reason="BAD_REQUEST")
    return text
