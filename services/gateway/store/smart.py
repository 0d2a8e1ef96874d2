"""What dxmesh keeps as a SMART authorization server."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.store.database import Database
from services.gateway.store.smart_clients import SmartClients
from services.gateway.store.smart_grants import SmartGrants
from services.gateway.store.smart_keys import SmartKeys
from services.gateway.store.smart_launches import SmartLaunches


@dataclass(frozen=True, slots=True)
class SmartStore:
    """Clients, launches, grants with their tokens, and signing keys."""

    clients: SmartClients
    launches: SmartLaunches
    grants: SmartGrants
    keys: SmartKeys


def open_smart(database: Database) -> SmartStore:
    """Return the parts over one database."""
    return SmartStore(
        SmartClients(database),
        SmartLaunches(database),
        SmartGrants(database),
        SmartKeys(database),
    )
