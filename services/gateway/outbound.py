"""HTTP to addresses that others wrote down: key sets, subscriptions, EHRs.

Each request resolves the name once, holds every address against the operator's lists
(`gateway.addresses`) and connects to the address it has checked, so that a name cannot
change between the check and the connection (DNS rebinding). No redirect is followed, no
proxy of the environment is used, no connection is kept, and answers have a limit.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import certifi
import httpcore

from services.gateway.addresses import Addresses, AddressRefused, Target
from services.gateway.addresses import parse as parse_addresses
from services.gateway.settings import Settings
from services.kernel.errors import TooLarge, Unavailable

ANSWER_BYTES_MAX = 1 << 20
TIMEOUT_S = 10.0
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; header names in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the system's order.

    Raises
    ------
    Unavailable
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable("the name of a host does not resolve", reason="NO_SUCH_HOST") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose content still comes."""

    status: int
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]


class Outbound:
    """The one way out of the gateway to an address that is not the operator's own."""

    def __init__(
        self, addresses: Addresses, tls: ssl.SSLContext, resolve: Resolve = resolve
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._resolve = resolve

    async def check(self, tenant: str, url: str) -> None:
        """Look whether the address could be reached, before it is written down.

        Raises
        ------
        AddressRefused, Unavailable
        """
        target = self._addresses.target(tenant, url)
        self._addresses.usable(tenant, target, await self._resolve(target.host, target.port))

    async def request(
        self,
        tenant: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        limit: int = ANSWER_BYTES_MAX,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Raises
        ------
        AddressRefused
            The operator's lists do not allow the address.
        TooLarge
            The answer is over `limit` bytes.
        Unavailable
            Nothing answers, TLS does not verify, or it takes over `timeout_s` in all.
        """
        async with self.stream(
            tenant, method, url, headers=headers, content=content, timeout_s=timeout_s
        ) as answer:
            return Answer(answer.status, answer.headers, await _read(answer.chunks, limit))

    @asynccontextmanager
    async def stream(
        self,
        tenant: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        timeout_s: float = TIMEOUT_S,
    ) -> AsyncIterator[Streamed]:
        """Send one request and yield the answer while it comes; raises as `request` does."""
        target = self._addresses.target(tenant, url)
        sent = [("Host", _authority(target)), *(headers or {}).items()]
        if content or method not in ("GET", "HEAD"):
            sent.append(("Content-Length", str(len(content))))
        pinned = _Pinned(self._addresses, self._resolve, tenant, target)
        try:
            async with (
                asyncio.timeout(timeout_s),
                httpcore.AsyncConnectionPool(
                    ssl_context=self._tls, network_backend=pinned, max_keepalive_connections=0
                ) as pool,
                pool.stream(
                    method.encode(),
                    url,
                    headers=[(k.encode(), v.encode()) for k, v in sent],
                    content=content or None,
                ) as answer,
            ):
                yield Streamed(answer.status, _headers(answer), answer.aiter_stream())
        except (TimeoutError, OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise Unavailable(f"an address does not answer ({type(error).__name__})") from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise Unavailable("an address does not speak HTTP") from error


async def _read(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise TooLarge(f"the answer is over {limit} bytes", reason="ANSWER_TOO_LARGE")
    return bytes(content)


def _headers(answer: httpcore.Response) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
    }


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the checked address; TLS still asks for the name of the URL."""

    def __init__(self, addresses: Addresses, resolve: Resolve, tenant: str, target: Target) -> None:
        self._addresses = addresses
        self._resolve = resolve
        self._tenant = tenant
        self._target = target
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, connect."""
        if (host.strip("[]").rstrip("."), port) != (self._target.host, self._target.port):
            raise AddressRefused("the address is not the one checked", reason="ADDRESS_BAD")
        found = await self._resolve(self._target.host, port)
        address = self._addresses.usable(self._tenant, self._target, found)
        return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    usual = 443 if target.scheme == "https" else 80
    return host if target.port == usual else f"{host}:{target.port}"


def open_outbound(settings: Settings) -> Outbound:
    """Return the way out that the settings allow.

    Raises
    ------
    BadSettings
    """
    tls = ssl.create_default_context(cafile=certifi.where())
    if settings.outbound_ca_file:
        tls.load_verify_locations(cafile=settings.outbound_ca_file)
    return Outbound(parse_addresses(settings.outbound_hosts, settings.outbound_private_hosts), tls)
