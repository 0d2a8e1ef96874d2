"""Which addresses the gateway may connect to on somebody else's word. Pure.

A client's key set, a subscription's endpoint and an EHR are addresses that somebody wrote
into a registration or a resource. Without a rule they reach whatever this host reaches: the
database, the cloud's metadata service, the operator's own pages (server-side request
forgery, CWE-918). So a host must be listed by the operator; it must be https; and what its
name resolves to must be a public address, unless the operator vouches for the host.

An entry of a list is `[tenant/][http://]host[:port]`; `*.example.org` names every host
below a domain, `*` every host. `http://` allows plain HTTP, for a vouched host alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from services.kernel.errors import Forbidden
from services.kernel.settings import BadSettings

URL_CHARS_MAX = 2048
_ENTRY = re.compile(
    r"(?:(?P<tenant>[a-z0-9][a-z0-9-]{0,62})/)?(?P<plain>http://)?"
    r"(?P<host>\*|(?:\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
)
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?|[0-9a-f:.]{2,45}")
_NAT64 = ip_network("64:ff9b::/96")
NEVER = tuple(
    ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32")
)
"""Link-local networks and the clouds' metadata services: not even for a vouched host."""

Address = IPv4Address | IPv6Address


class AddressRefused(Forbidden):
    """The gateway does not connect there; the message says which setting allows it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of an operator's list."""

    tenant: str
    host: str
    port: int
    plain: bool

    def names(self, tenant: str, target: Target) -> bool:
        """Tell whether the entry is about a target of a tenant."""
        if self.tenant not in ("", tenant) or self.port not in (0, target.port):
            return False
        if self.host.startswith("*."):
            return target.host.endswith(self.host[1:])
        return self.host in ("*", target.host)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The operator's two lists."""

    public: tuple[Listed, ...]
    """Hosts that may be reached by https at public addresses."""
    vouched: tuple[Listed, ...]
    """Hosts that may lie at private addresses."""

    def target(self, tenant: str, url: str) -> Target:
        """Return what a URL names, when the lists allow it.

        Raises
        ------
        AddressRefused
        """
        target = _target(url)
        vouched = [entry for entry in self.vouched if entry.names(tenant, target)]
        if target.scheme == "http" and not any(entry.plain for entry in vouched):
            raise AddressRefused("the address must be https", reason="ADDRESS_NOT_HTTPS")
        if not vouched and not any(entry.names(tenant, target) for entry in self.public):
            raise AddressRefused(
                "the host is not in DX_GATEWAY_OUTBOUND_HOSTS; the operator may add it",
                reason="ADDRESS_NOT_LISTED",
            )
        return target

    def usable(self, tenant: str, target: Target, resolved: Sequence[str]) -> str:
        """Return the address to connect to; every address the name has must be allowed.

        Raises
        ------
        AddressRefused
        """
        vouched = any(entry.names(tenant, target) for entry in self.vouched)
        addresses = [_embedded(ip_address(text)) for text in resolved]
        for address in addresses:
            if _is_never(address) or not (vouched or _is_public(address)):
                raise AddressRefused(
                    "the host lies at an address inside; for one of your own hosts add it to "
                    "DX_GATEWAY_OUTBOUND_PRIVATE_HOSTS",
                    reason="ADDRESS_PRIVATE",
                )
        if not addresses:
            raise AddressRefused("the host has no address", reason="ADDRESS_UNKNOWN")
        return resolved[0]


def parse(public: str, vouched: str) -> Addresses:
    """Return the lists of two settings; entries stand between commas or spaces.

    Raises
    ------
    BadSettings
        Names the entry.
    """
    return Addresses(
        _entries(public, "OUTBOUND_HOSTS"), _entries(vouched, "OUTBOUND_PRIVATE_HOSTS")
    )


def _entries(text: str, name: str) -> tuple[Listed, ...]:
    found = []
    for entry in text.replace(",", " ").split():
        match = _ENTRY.fullmatch(entry)
        if not match:
            raise BadSettings(f"DX_GATEWAY_{name}: {entry!r} is not [tenant/][http://]host[:port]")
        plain = bool(match["plain"])
        if plain and name == "OUTBOUND_HOSTS":
            raise BadSettings(f"DX_GATEWAY_{name}: {entry!r}: plain HTTP is for private hosts")
        host = match["host"].lower().strip("[]")
        found.append(Listed(match["tenant"] or "", host, int(match["port"] or 0), plain))
    return tuple(found)


def _target(url: str) -> Target:
    refused = AddressRefused("not an http(s) address without a user name", reason="ADDRESS_BAD")
    if len(url) > URL_CHARS_MAX or not url.isascii() or any(c <= " " or c == "\\" for c in url):
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise refused from error
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("https", "http") or "@" in parts.netloc or parts.fragment:
        raise refused
    if not _HOST.fullmatch(host):
        raise refused
    return Target(parts.scheme, host, port)


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries, where it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if address.teredo:
            return address.teredo[1]
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_never(address: Address) -> bool:
    networks: list[IPv4Network | IPv6Network] = [
        network for network in NEVER if network.version == address.version
    ]
    return (
        any(address in network for network in networks)
        or address.is_multicast
        or address.is_unspecified
    )
