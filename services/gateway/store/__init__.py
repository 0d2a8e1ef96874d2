"""What the gateway keeps: resources by version, cases, reviews, sessions, the audit trail.

Content is encrypted under the tenant's key; where a column must be searched and could
identify, it holds a keyed hash. Every key begins with the tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.store.audit import AuditTrail
from services.gateway.store.cases import Cases
from services.gateway.store.database import Cipher, Database, now_us
from services.gateway.store.people import People
from services.gateway.store.reports import Reports
from services.gateway.store.resources import Resources
from services.kernel.crypto import KeyedHash


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of the store, over one database."""

    resources: Resources
    cases: Cases
    reports: Reports
    people: People
    audit: AuditTrail


def open_store(
    engine: AsyncEngine,
    cipher_for: Callable[[str], Awaitable[Cipher]],
    hasher_for: Callable[[str], Awaitable[KeyedHash]],
    *,
    session_s: float,
    idle_s: float,
    clock_us: Callable[[], int] = now_us,
) -> Store:
    """Return the store over an engine whose schema exists."""
    database = Database(engine, cipher_for, hasher_for, clock_us)
    resources = Resources(database)
    return Store(
        resources,
        Cases(database, resources),
        Reports(database),
        People(database, session_s, idle_s),
        AuditTrail(database),
    )
