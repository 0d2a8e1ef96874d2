"""Addresses that others wrote down: which are reached, and that a name cannot change its mind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.gateway.addresses import Addresses, AddressRefused, parse
from services.gateway.outbound import Outbound
from services.kernel.errors import TooLarge, Unavailable
from services.kernel.settings import BadSettings


def names(*answers: str) -> Callable[[str, int], Awaitable[list[str]]]:
    """Return a resolver that gives the answers one after the other, the last for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return (left.pop(0) if len(left) > 1 else left[0]).split()

    return resolve


def way_out(public: str = "", private: str = "", *answers: str) -> Outbound:
    return Outbound(
        parse(public, private),
        ssl.create_default_context(),
        names(*(answers or ("93.184.216.34",))),
    )


@asynccontextmanager
async def server(answer: bytes, pause_s: float = 0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that says `answer` to everybody, and what it was asked."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(pause_s)
        writer.write(answer)
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1], heard


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"


@pytest.mark.requirement("DX-SMT-08")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "100.64.0.1", "0.0.0.0",
        "169.254.169.254", "100.100.100.200", "224.0.0.1", "::1", "fe80::1", "fd00::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "93.184.216.34 127.0.0.1", "192.0.2.1", "::",
    ],
)  # fmt: skip
async def test_a_name_that_lies_inside_is_refused(address: str) -> None:
    out = way_out("*", "", address)
    with pytest.raises(AddressRefused) as refused:
        await out.check("north", "https://keys.example.org/jwks")
    assert refused.value.reason == "ADDRESS_PRIVATE"
    with pytest.raises(AddressRefused):
        await out.request("north", "GET", "https://keys.example.org/jwks")


@pytest.mark.requirement("DX-SMT-08")
@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"])
async def test_the_metadata_service_is_not_reached_even_by_a_vouched_host(address: str) -> None:
    with pytest.raises(AddressRefused):
        await way_out("", "inside.example.org", address).check(
            "north", "https://inside.example.org"
        )


@pytest.mark.requirement("DX-SMT-08")
@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example.org/jwks", "ftp://keys.example.org/", "file:///etc/passwd",
        "https://keys.example.org@127.0.0.1/", "https://user:pass@keys.example.org/",
        "https://keys.example.org\\@127.0.0.1/", "https://keys.example.org:99999/",
        "https:///jwks", "https://keys.example.org/ x", "https://keys.example.org/#a",
        "https://kéys.example.org/", "https://" + "a" * 3000 + ".example.org/", "gopher://x", "",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        await way_out("*").check("north", url)


@pytest.mark.requirement("DX-SMT-08")
async def test_only_listed_hosts_are_reached_and_none_by_default() -> None:
    with pytest.raises(AddressRefused, match="OUTBOUND_HOSTS"):
        await way_out().check("north", "https://keys.example.org/jwks")
    out = way_out("keys.example.org, north/*.ehr.example.org:8443")
    await out.check("south", "https://KEYS.example.org/jwks")
    await out.check("north", "https://a.ehr.example.org:8443/hook")
    for tenant, url in (
        ("south", "https://a.ehr.example.org:8443/hook"),
        ("north", "https://a.ehr.example.org/hook"),
        ("north", "https://ehr.example.org:8443/hook"),
        ("north", "https://keys.example.org.evil.example/"),
        ("north", "https://xkeys.example.org/"),
    ):
        with pytest.raises(AddressRefused):
            await out.check(tenant, url)


@pytest.mark.requirement("DX-SMT-08")
async def test_a_name_that_changes_between_check_and_connection_is_refused() -> None:
    async with server(OK) as (port, heard):
        out = way_out("*", "", "93.184.216.34", "127.0.0.1")
        await out.check("north", f"https://keys.example.org:{port}/")
        with pytest.raises(AddressRefused):
            await out.request("north", "GET", f"https://keys.example.org:{port}/")
    assert heard == []


@pytest.mark.requirement("DX-SMT-08")
async def test_the_connection_goes_to_the_checked_address_with_the_name_of_the_url() -> None:
    async with server(OK) as (port, heard):
        out = way_out("", "http://hook.test", "127.0.0.1")
        answer = await out.request(
            "north", "POST", f"http://hook.test:{port}/a?b=c", content=b"{}", headers={"X-K": "v"}
        )
    assert (answer.status, answer.content, answer.headers["x-a"]) == (200, b"hi", "b")
    assert heard[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: hook.test:{port}".encode() in heard[0] and b"X-K: v" in heard[0]


@pytest.mark.requirement("DX-SMT-08")
async def test_no_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with server(moved) as (port, heard):
        out = way_out("", "http://hook.test", "127.0.0.1")
        answer = await out.request("north", "GET", f"http://hook.test:{port}/")
    assert answer.status == 302 and len(heard) == 1


@pytest.mark.requirement("DX-SMT-08")
async def test_answers_have_a_limit_in_bytes_and_time() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"a" * 5000
    out = way_out("", "http://hook.test", "127.0.0.1")
    async with server(large) as (port, _):
        with pytest.raises(TooLarge):
            await out.request("north", "GET", f"http://hook.test:{port}/", limit=4999)
    async with server(OK, pause_s=5) as (port, _):
        with pytest.raises(Unavailable):
            await out.request("north", "GET", f"http://hook.test:{port}/", timeout_s=0.2)
    with pytest.raises(Unavailable):
        await out.request("north", "GET", f"http://hook.test:{port}/")


async def test_tls_that_does_not_speak_is_an_outage_and_not_an_unknown_error() -> None:
    async with server(OK) as (port, _):
        out = way_out("", "hook.test", "127.0.0.1")
        with pytest.raises(Unavailable):
            await out.request("north", "GET", f"https://hook.test:{port}/")


@pytest.mark.parametrize("entry", ["https://x", "http://x", "a b/c/d", "x:port", "x/y/z"])
def test_a_list_that_cannot_be_read_stops_the_start(entry: str) -> None:
    with pytest.raises(BadSettings):
        parse(entry, "")
    assert isinstance(parse("a.example", "http://b.example:80"), Addresses)
