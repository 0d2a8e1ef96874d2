"""Which devices may send, by application entity title, and for which tenant. Pure.

A TOML file:

    [[device]]
    title = "CT1"                  # its calling AE title, at most 16 characters
    tenant = "north"
    addresses = ["10.1.0.0/16"]    # where it may call from; none: anywhere
    report_to = "10.1.4.7:11112"   # where storage commitment is reported; none: not offered

Source: DICOM PS3.8 9.3.2 (AE titles), PS3.5 6.2 (value representation AE).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from services.kernel.crypto import checked
from services.kernel.errors import MeshError
from services.kernel.settings import BadSettings

TITLE_CHARS_MAX = 16
KEYS = frozenset(("title", "tenant", "addresses", "report_to"))


@dataclass(frozen=True, slots=True)
class Device:
    """A device that may send."""

    title: str
    tenant: str
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    report_to: tuple[str, int] | None = None

    def may_call_from(self, address: str) -> bool:
        """Tell whether an address is one of the device's."""
        if not self.networks:
            return True
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


Devices = Mapping[str, Device]
"""By calling title."""


def read(text: str) -> Devices:
    """Return the devices of a TOML file.

    Raises
    ------
    BadSettings
        It is no TOML, a key is unknown or missing, a title comes twice.
    """
    try:
        tables = tomllib.loads(text).get("device", [])
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the file of DICOM devices is no TOML: {error}") from error
    devices: dict[str, Device] = {}
    for number, table in enumerate(tables, 1):
        device = _device(number, table)
        if device.title in devices:
            raise BadSettings(f"device {number}: the title {device.title!r} comes twice")
        devices[device.title] = device
    if not devices:
        raise BadSettings("the file of DICOM devices names none: add a [[device]]")
    return devices


def _device(number: int, table: Mapping[str, Any]) -> Device:
    if unknown := sorted(set(table) - KEYS):
        raise BadSettings(f"device {number}: unknown {', '.join(unknown)}")
    title = str(table.get("title", "")).strip(" ")
    if not title or len(title) > TITLE_CHARS_MAX or not title.isascii() or "\\" in title:
        raise BadSettings(f"device {number}: a title has 1 to {TITLE_CHARS_MAX} ASCII characters")
    try:
        tenant = checked(str(table.get("tenant", "")))
        networks = tuple(ip_network(each) for each in table.get("addresses", ()))
    except (MeshError, ValueError) as error:
        raise BadSettings(f"device {number}: {error}") from error
    return Device(title, tenant, networks, _place(number, table.get("report_to")))


def _place(number: int, value: object) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadSettings(f"device {number}: report_to is not host:port")
    return host.strip("[]"), int(port)
