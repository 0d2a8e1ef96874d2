"""Reading the EHR file and opening the way to each EHR in it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import certifi

from services.gateway.addresses import Addresses, Listed
from services.gateway.ehr import registry, tokens
from services.gateway.ehr.client import EhrClient, Ehrs
from services.gateway.ehr.registry import Ehr
from services.gateway.outbound import Outbound
from services.kernel.settings import BadSettings


async def open_ehrs(path: Path | None) -> Ehrs:
    """Return the EHRs of a file, whose own files stand beside it; none without a file.

    Raises
    ------
    BadSettings
    """
    return await asyncio.to_thread(_open, path) if path else Ehrs()


def _open(path: Path) -> Ehrs:
    def read(name: str) -> str:
        try:
            return (path.parent / name).read_text("utf-8")
        except OSError as error:
            raise BadSettings(f"the EHR file names {name}, which cannot be read") from error

    found = registry.parse(read(path.name), read)
    clients: dict[str, EhrClient] = {}
    for ehr in found.by_name.values():
        if ehr.key:
            tokens.private_key(ehr)  # refused now, not at the first launch
        authority = read(ehr.ca_file) if ehr.ca_file else ""
        clients[ehr.name] = EhrClient(ehr, outbound_to(ehr, authority))
    return Ehrs(found, clients)


def outbound_to(ehr: Ehr, authority: str = "") -> Outbound:
    """Return the way to one EHR's hosts and no other; `authority` is PEM."""
    tls = ssl.create_default_context(cafile=certifi.where())
    if authority:
        try:
            tls.load_verify_locations(cadata=authority)
        except ssl.SSLError as error:
            raise BadSettings(f"EHR {ehr.name}: ca_file is not PEM") from error
    pairs = [host.rpartition(":") for host in ehr.hosts]
    vouched = tuple(
        Listed(ehr.tenant, host, int(port), host in registry.LOOPBACK) for host, _, port in pairs
    )
    return Outbound(Addresses((), vouched), tls)
