"""Which systems may send, by MSH-3 and MSH-4, for which tenant, and what their ways are. Pure.

A TOML file:

    [[sender]]
    application = "LIS"            # MSH-3, its first component
    facility = "NORTH"             # MSH-4, likewise; leave out: any
    tenant = "north"
    addresses = ["10.1.0.0/16"]    # where it may call from; leave out: anywhere
    certificates = ["lis.north.example"]   # names in its TLS certificate; leave out: any
    charset = "GB 18030-2000"      # what it sends where MSH-18 is empty
    utc_offset = "+08:00"          # zone of its times that state none
    language = "zh"                # of the report; leave out: the mesh's
    processing = "P"               # MSH-11 that are taken; leave out: P
    identifier_system = "urn:oid:1.2.3"            # of a patient's numbers without authority
    authorities = { HIS = "urn:oid:1.2.3" }        # assigning authority → identifier system
    codes = { L = "urn:oid:1.2.3.4" }              # name of a coding system → its URI

Source: HL7 v2.9 2.14.9.3 and 2.14.9.4.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from services.ingest.hl7v2.charset import codec_of
from services.ingest.hl7v2.site import Site
from services.kernel.crypto import checked
from services.kernel.errors import MeshError
from services.kernel.settings import BadSettings

KEYS = frozenset(
    (
        *("application", "facility", "tenant", "addresses", "certificates", "charset"),
        *("utc_offset", "language", "processing", "identifier_system", "authorities", "codes"),
    )
)
OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


@dataclass(frozen=True, slots=True)
class Sender:
    """A system that may send."""

    application: str
    facility: str
    """Empty: any."""
    tenant: str
    site: Site
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    certificates: frozenset[str] = frozenset()
    """Names of which its certificate must have one, lower case; empty: any, or none."""

    def may_call_from(self, address: str) -> bool:
        """Tell whether an address is one of the sender's."""
        if not self.networks:
            return True
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)

    def may_show(self, names: frozenset[str]) -> bool:
        """Tell whether a certificate with these names, lower case, is one of the sender's."""
        return not self.certificates or bool(self.certificates & names)


class Senders:
    """The systems that may send."""

    def __init__(self, known: Mapping[tuple[str, str], Sender]) -> None:
        self._known = dict(known)

    def find(self, application: str, facility: str) -> Sender | None:
        """Return the sender of a message: one of this facility goes before one of any."""
        exact = self._known.get((application, facility))
        return exact or self._known.get((application, ""))

    @property
    def certified(self) -> bool:
        """Whether any sender must show a certificate of its own."""
        return any(each.certificates for each in self._known.values())

    def is_anyone(self, address: str) -> bool:
        """Tell whether any sender may call from an address."""
        return any(each.may_call_from(address) for each in self._known.values())


def read(text: str) -> Senders:
    """Return the senders of a TOML file.

    Raises
    ------
    BadSettings
        It is no TOML, a key is unknown or missing, a sender comes twice.
    """
    try:
        tables = tomllib.loads(text).get("sender", [])
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the file of HL7 senders is no TOML: {error}") from error
    found: dict[tuple[str, str], Sender] = {}
    for number, table in enumerate(tables, 1):
        sender = _sender(number, table)
        key = (sender.application, sender.facility)
        if key in found:
            raise BadSettings(f"sender {number}: application and facility come twice")
        found[key] = sender
    if not found:
        raise BadSettings("the file of HL7 senders names none: add a [[sender]]")
    return Senders(found)


def _sender(number: int, table: Mapping[str, Any]) -> Sender:
    if unknown := sorted(set(table) - KEYS):
        raise BadSettings(f"sender {number}: unknown {', '.join(unknown)}")
    application = str(table.get("application", "")).strip()
    if not application:
        raise BadSettings(f"sender {number}: application (MSH-3) is missing")
    try:
        tenant = checked(str(table.get("tenant", "")))
        networks = tuple(ip_network(each) for each in table.get("addresses", ()))
    except (MeshError, ValueError) as error:
        raise BadSettings(f"sender {number}: {error}") from error
    facility = str(table.get("facility", "")).strip()
    site, names = _site(number, table), table.get("certificates", [])
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise BadSettings(f"sender {number}: certificates is no list of names")
    certificates = frozenset(each.lower() for each in names)
    return Sender(application, facility, tenant, site, networks, certificates)


def _site(number: int, table: Mapping[str, Any]) -> Site:
    charset, language = str(table.get("charset", "")), str(table.get("language", ""))
    offset = str(table.get("utc_offset", Site().utc_offset))
    if charset and not codec_of(charset):
        raise BadSettings(f"sender {number}: charset {charset!r} is not read")
    if not OFFSET.fullmatch(offset):
        raise BadSettings(f"sender {number}: utc_offset is not ±HH:MM")
    if language not in ("", "zh", "en"):
        raise BadSettings(f"sender {number}: language is neither zh nor en")
    tables = {}
    for name in ("authorities", "codes"):
        tables[name] = table.get(name, {})
        if not isinstance(tables[name], dict) or not all(
            isinstance(each, str) for each in tables[name].values()
        ):
            raise BadSettings(f"sender {number}: {name} is not a table of texts")
    return Site(
        charset=charset,
        utc_offset=offset,
        language=language,
        processing=frozenset(str(table.get("processing", "P"))),
        identifier_system=str(table.get("identifier_system", "")),
        **tables,
    )
