"""Where one request ends and the next begins, and how large a head may be (RFC 9112)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

BEARER = b"Authorization: Bearer %s\r\n"
HIDDEN = b"GET /healthz?smuggled HTTP/1.1\r\nHost: edge\r\n\r\n"
JSON = b"Content-Type: application/fhir+json\r\n"

AMBIGUOUS = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 49\r\n\r\n{}" + HIDDEN,
    "two lengths in one": b"Content-Length: 2, 49\r\n\r\n{}" + HIDDEN,
    "signed length": b"Content-Length: +2\r\n\r\n{}" + HIDDEN,
    "hexadecimal length": b"Content-Length: 0x2\r\n\r\n{}" + HIDDEN,
    "negative length": b"Content-Length: -2\r\n\r\n{}" + HIDDEN,
    "space before the colon": b"Content-Length : 2\r\n\r\n{}" + HIDDEN,
    "folded header": b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked is not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "chunk of a negative size": b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunk of no size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunk of too large a size": b"Transfer-Encoding: chunked\r\n\r\n"
    + b"f" * 20
    + b"\r\n{}\r\n0\r\n\r\n"
    + HIDDEN,
    "zero byte in a header": b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "carriage return in a header": b"X-A: a\rb\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + HIDDEN,
}


@pytest.mark.requirement("DX-ATK-03")
@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_after_an_ambiguous_request_nothing_more_is_read(edge: Any, rest: bytes) -> None:
    """A proxy in front may see another end of it: what follows is somebody else's."""
    head = b"POST /fhir/Patient/$validate HTTP/1.1\r\nHost: edge\r\n" + BEARER % token(edge) + JSON
    answer = bytearray()
    with edge.connect() as connection:
        connection.settimeout(3)  # an open connection fails the test by this
        connection.sendall(head + rest)
        with suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                answer += piece
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert b'"status":"ok"' not in answer


HOSTS = {
    "none": b"",
    "two": b"Host: edge\r\nHost: elsewhere\r\n",
    "empty": b"Host: \r\n",
    "markup": b'Host: edge"><script>\r\n',
    "path": b"Host: edge/elsewhere\r\n",
    "credentials": b"Host: edge@elsewhere\r\n",
}


@pytest.mark.requirement("DX-ATK-03")
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_request_names_one_host(edge: Any, host: bytes) -> None:
    """Addresses in answers begin with it."""
    request = b"GET /fhir/metadata HTTP/1.1\r\n" + host + BEARER % token(edge) + b"\r\n"
    assert edge.raw(request, wait_s=2).startswith(b"HTTP/1.1 400")


@pytest.mark.requirement("DX-ATK-03")
@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"X-%d: 1\r\n" % n for n in range(500)),
        b"X-A: " + b"a" * 200_000 + b"\r\n",
        b"Cookie: " + b"a=b; " * 40_000 + b"\r\n",
    ],
    ids=["many", "long", "cookies"],
)
def test_a_flood_of_headers_is_refused(edge: Any, flood: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n" + flood + b"\r\n"
    assert edge.raw(request, wait_s=3).startswith(b"HTTP/1.1 431")


@pytest.mark.requirement("DX-ATK-03")
def test_an_address_of_a_hundred_thousand_characters_is_refused(edge: Any) -> None:
    path = b"/fhir/Patient?_id=" + b"a," * 50_000
    request = b"GET " + path + b" HTTP/1.1\r\nHost: edge\r\n" + BEARER % token(edge) + b"\r\n"
    status = edge.raw(request, wait_s=3).split(b" ")[1]
    assert status in (b"400", b"414", b"431")


@pytest.mark.requirement("DX-ATK-03")
def test_nothing_but_http_1_is_spoken(edge: Any) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert not edge.raw(preface, wait_s=2).startswith(b"\x00\x00")
    upgrade = (
        b"GET /healthz HTTP/1.1\r\nHost: edge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " not in edge.raw(upgrade, wait_s=2)


def token(edge: Any) -> bytes:
    """Return the EHR's token."""
    return bytes(edge.setting.TOKENS["ehr"], "ascii")
