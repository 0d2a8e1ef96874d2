"""HTTP around FHIR: cross-origin requests, compressed answers, HEAD, `_pretty`, ids. ASGI.

A client's `X-Request-Id` stands in the audit trail, and comes back in the answer (R4 http,
3.1.0.1.6).

Only answers below /fhir are compressed: they hold no secret beside what a page reflects, which
is what makes compression of pages unsafe. Cross-origin requests carry a bearer token and never
a cookie (`Access-Control-Allow-Credentials` is never sent), from origins that the tenant of
the token allows; before a token is known, from those that any tenant allows.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access import trail
from services.kernel.settings import BadSettings

COMPRESSED_FROM = 1024
"""Bytes from which compressing is worth it."""
LEVEL = 5
PRETTY_BYTES_MAX = 2 << 20
"""A longer answer is sent as it is."""
OPEN = ("/fhir", "/smart", "/.well-known", "/dicom-web")
"""Where scripts of other origins may ask."""
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ASKED = (
    "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    "If-None-Match, Prefer, Purpose, Range, X-Request-Id, X-Security-Context"
)
TOLD = (
    "Content-Location, Content-Range, ETag, Last-Modified, Location, Retry-After, Warning, "
    "X-Request-Id"
)

_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s"{}\[\],:]+')

Origins = Mapping[str, frozenset[str]]
"""Tenant → origins whose scripts may ask."""


def origins(text: str) -> dict[str, frozenset[str]]:
    """Return the origins in a setting `tenant=https://a.example https://b.example; …`.

    Raises
    ------
    BadSettings
        Not of this form, or an origin that is none, such as "*".
    """
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        tenant, equals, listed = part.partition("=")
        names = listed.split()
        for name in names:
            scheme, _, host = name.partition("://")
            if scheme not in ("http", "https") or not host or set("/*?#@, ") & set(host):
                raise BadSettings("cors_origins: an origin is https://host or https://host:port")
        if not equals or not tenant.strip() or not names:
            raise BadSettings("cors_origins is tenant=https://host …; tenant=…")
        found[tenant.strip()] = frozenset(names)
    return found


class Transport:
    """Serves what lies below /fhir as HTTP clients expect it."""

    def __init__(self, app: ASGIApp, allowed: Origins) -> None:
        self._app = app
        self._allowed = allowed
        self._any = frozenset(origin for listed in allowed.values() for origin in listed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        if scope["method"] == "OPTIONS":
            await self._preflight(headers, origin, send)
            return
        scope["state"] = dict(scope.get("state") or {})
        answer = _Answer(scope, headers, send)
        if self._any:
            answer.cross_origin = lambda: self._permitted(scope, origin)
        await self._app(scope, receive, answer.send)

    def _permitted(self, scope: Scope, origin: str) -> str:
        tenant = scope["state"].get("tenant")
        allowed = self._any if tenant is None else self._allowed.get(tenant, frozenset())
        return origin if origin in allowed else ""

    async def _preflight(self, headers: Headers, origin: str, send: Send) -> None:
        answer = {"Allow": METHODS, "Content-Length": "0", "Vary": "Origin"}
        if origin in self._any and "access-control-request-method" in headers:
            answer |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": ASKED,
                "Access-Control-Max-Age": "600",
            }
        raw = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": 204, "headers": raw})
        await send({"type": "http.response.body", "body": b""})


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope: Scope, headers: Headers, send: Send) -> None:
        self._send = send
        self._fhir = scope["path"].startswith("/fhir")
        self._head = scope["method"] == "HEAD"
        self._gzip = self._fhir and _takes_gzip(headers.get("accept-encoding", ""))
        named = "x-request-id" in headers
        self._request_id = trail.request_id(Request(scope)) if named else ""
        query = scope.get("query_string", b"")
        self._pretty = b"_pretty" in query and "true" in parse_qs(query.decode("latin-1")).get(
            "_pretty", []
        )
        self._start: Message | None = None
        self._held = bytearray()
        self._compressor: zlib._Compress | None = None
        self.cross_origin: Callable[[], str] = str

    async def send(self, message: Message) -> None:
        """Pass a message on, changed where it has to be."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if origin := self.cross_origin():
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = TOLD
                headers.add_vary_header("Origin")
            if self._fhir:
                headers.add_vary_header("Accept-Encoding")
                if self._request_id:
                    headers["X-Request-Id"] = self._request_id
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        if self._start is not None:
            if self._pretty and _is_json(self._start) and self._hold(message):
                return
            message = self._formed(message)
            await self._begin(message)
        elif self._compressor:
            message = _squeezed(self._compressor, message)
        if self._head:
            message = {**message, "body": b""}
        await self._send(message)

    def _hold(self, message: Message) -> bool:
        """Keep what came until the answer is whole; False when it is, or is too large."""
        self._held += message.get("body", b"")
        return bool(message.get("more_body")) and len(self._held) < PRETTY_BYTES_MAX

    def _formed(self, message: Message) -> Message:
        if not self._held:
            return message
        body = bytes(self._held)
        self._held.clear()
        if not message.get("more_body"):
            body = pretty(body)
        return {**message, "body": body}

    async def _begin(self, message: Message) -> None:
        """Send the head, now that it is known how large the first part is."""
        start, self._start = self._start or {}, None
        headers = MutableHeaders(scope=start)
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._gzip and (more or len(body) >= COMPRESSED_FROM) and _may_squeeze(headers):
            self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
            headers["Content-Encoding"] = "gzip"
            message.update(_squeezed(self._compressor, message))
        if not more and start["status"] not in (204, 304):
            headers["Content-Length"] = str(len(message.get("body", b"")))
        elif self._compressor and "content-length" in headers:
            del headers["Content-Length"]
        await self._send(start)


def _squeezed(compressor: zlib._Compress, message: Message) -> Message:
    squeezed = compressor.compress(message.get("body", b""))
    ended = not message.get("more_body")
    squeezed += compressor.flush(zlib.Z_FINISH if ended else zlib.Z_SYNC_FLUSH)
    return {**message, "body": squeezed}


def pretty(content: bytes) -> bytes:
    """Return JSON with line breaks and two spaces a level; no value is written anew."""
    made: list[bytes] = []
    level = 0
    for token in _TOKENS.findall(content):
        if token in (b"{", b"["):
            level += 1
            made.append(token + b"\n" + b"  " * level)
        elif token in (b"}", b"]"):
            level -= 1
            made.append(b"\n" + b"  " * level + token)
        elif token == b",":
            made.append(b",\n" + b"  " * level)
        else:
            made.append(b": " if token == b":" else token)
    return b"".join(made)


def _is_open(path: str) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in OPEN)


def _takes_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _may_squeeze(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "")
    return "content-encoding" not in headers and ("json" in kind or kind.startswith("text/"))


def _is_json(start: Message) -> bool:
    return "json" in Headers(raw=start["headers"]).get("content-type", "")
