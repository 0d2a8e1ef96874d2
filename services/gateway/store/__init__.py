"""What the gateway keeps: resources by version, cases, reviews, sessions, the audit trail.

Content is encrypted under the tenant's key; where a column must be searched and could
identify, it holds a keyed hash. Every key begins with the tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.store.audit import AuditTrail
from services.gateway.store.audit_settling import Settling
from services.gateway.store.cases import Cases
from services.gateway.store.critical import CriticalNotices
from services.gateway.store.database import Database, now_us
from services.gateway.store.dicom import DicomIndex
from services.gateway.store.ehr import EhrLaunches
from services.gateway.store.ehr_writes import EhrWrites
from services.gateway.store.export import Exports
from services.gateway.store.hooks import Hooks
from services.gateway.store.indexing import SearchIndexer
from services.gateway.store.leases import Leases
from services.gateway.store.people import People
from services.gateway.store.reports import Reports
from services.gateway.store.resources import Resources
from services.gateway.store.search import Searches
from services.gateway.store.smart import SmartStore, open_smart
from services.gateway.store.subscriptions import Subscriptions
from services.kernel.crypto import FieldCipher, KeyedHash


class Keys(Protocol):
    """A tenant's keys; `kernel.crypto.Vault` holds them."""

    async def cipher(self, tenant: str) -> FieldCipher:
        """Return the cipher for the tenant's content."""

    async def hasher(self, tenant: str) -> KeyedHash:
        """Return the tenant's keyed hash."""


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of the store, over one database."""

    database: Database
    resources: Resources
    cases: Cases
    reports: Reports
    people: People
    audit: AuditTrail
    leases: Leases
    hooks: Hooks
    exports: Exports
    smart: SmartStore
    ehr: EhrLaunches
    ehr_writes: EhrWrites
    subscriptions: Subscriptions
    settling: Settling
    searches: Searches
    dicom: DicomIndex
    critical: CriticalNotices


def open_store(
    engine: AsyncEngine,
    keys: Keys,
    session_s: float,
    idle_s: float,
    clock_us: Callable[[], int] = now_us,
) -> Store:
    """Return the store over an engine whose schema exists."""
    database = Database(engine, keys.cipher, keys.hasher, clock_us)
    trail, indexer = AuditTrail(database), SearchIndexer(database)
    leases = Leases(database)
    resources = Resources(database, trail, [indexer])
    return Store(
        database,
        resources,
        Cases(database, resources),
        Reports(database),
        People(database, session_s, idle_s),
        trail,
        leases,
        Hooks(database, trail),
        Exports(database, trail),
        open_smart(database),
        EhrLaunches(database, session_s, idle_s),
        EhrWrites(database),
        Subscriptions(database, trail),
        Settling(database, resources, trail, leases),
        Searches(database),
        DicomIndex(database),
        CriticalNotices(database),
    )
