"""Makes AuditEvents of the journal, and ends what was kept long enough.

The journal is what is committed with an interaction; an AuditEvent follows, with the entry's
id, by one replica's background work or when an auditor asks. It is stored as any resource is,
so search and read serve it; rights show it to auditors alone, and it is the mesh's own, so
nobody changes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from sqlalchemy import delete, select, update

from services.gateway.fhir.audit_event import audit_event
from services.gateway.fhir.search.compartments import memberships
from services.gateway.store.audit import AuditEntry, AuditTrail, JournalRow
from services.gateway.store.audit_tables import JOURNAL
from services.gateway.store.database import Database
from services.gateway.store.index_tables import RANGES, TERMS
from services.gateway.store.leases import Leases
from services.gateway.store.resource_tables import CURRENT, RESOURCES
from services.gateway.store.resources import Resources
from services.gateway.store.stored import Stored
from services.gateway.store.writing import Incoming
from services.kernel import fhir, telemetry

log = logging.getLogger(__name__)

KIND = "AuditEvent"
BATCH = 100
LEASE, LEASE_S = "audit", 60.0
LOOK_S, FORGET_S = 2.0, 3600.0
US = 1_000_000
YEAR_US = 365_250_000 * 86_400
PATIENTS_MAX = 50


class Settling:
    """The AuditEvents of every tenant."""

    def __init__(
        self,
        database: Database,
        resources: Resources,
        trail: AuditTrail,
        leases: Leases,
    ) -> None:
        self._db = database
        self._resources = resources
        self._trail = trail
        self._leases = leases
        self.server = "dxmesh"
        """Address or name that AuditEvents give the gateway; set when wired."""

    async def run(self, years: float) -> None:
        """Settle, and forget what is older than so many years (0: nothing), until stopped.

        It rests as long as it works, so that a hospital's own writes are not held up.
        """
        forgotten = 0.0
        while True:
            began = time.monotonic()
            worked = 0
            if await self._leases.hold(LEASE, LEASE_S):
                for tenant in await self.waiting():
                    worked += await self._settle_safely(tenant)
                if years and time.monotonic() - forgotten > FORGET_S:
                    forgotten = time.monotonic()
                    await self.forget(self._db.now_us() - int(years * YEAR_US))
            await asyncio.sleep(time.monotonic() - began if worked else LOOK_S)

    async def waiting(self) -> list[str]:
        """Return the tenants that have entries without an AuditEvent."""
        query = select(JOURNAL.c.tenant).where(JOURNAL.c.settled == 0, JOURNAL.c.event != "")
        async with self._db.read() as connection:
            return sorted((await connection.execute(query.distinct())).scalars())

    async def catch_up(self, tenant: str, seconds: float) -> bool:
        """Settle a tenant's entries for at most so long; False: there are more."""
        until = time.monotonic() + seconds
        while await self.settle(tenant):
            if time.monotonic() > until:
                return False
        return True

    async def settle(self, tenant: str) -> int:
        """Make AuditEvents of the oldest entries that have none; return of how many."""
        query = (
            select(JOURNAL)
            .where(JOURNAL.c.tenant == tenant, JOURNAL.c.settled == 0, JOURNAL.c.event != "")
            .order_by(JOURNAL.c.id)
            .limit(BATCH)
        )
        async with self._db.read() as connection:
            found = (await connection.execute(query)).mappings().all()
        rows = await self._trail.opened([dict(row) for row in found])
        if not rows:
            return 0
        patients = await self._patients(tenant, rows)
        made = [
            Incoming(
                resource=audit_event(row.entry, patients[row.number], self.server),
                id=row.entry.id,
                method="POST",
                owned=True,
            )
            for row in rows
        ]
        async with self._resources.writing(tenant) as writing:
            await writing.save_many(made)
            await writing.connection.execute(
                update(JOURNAL)
                .where(JOURNAL.c.id.in_([row.number for row in rows]))
                .values(settled=1)
            )
        return len(rows)

    async def forget(self, before_us: int) -> int:
        """Delete what is older, entries and AuditEvents; return how many AuditEvents."""
        async with self._db.begin() as connection:
            await connection.execute(delete(JOURNAL).where(JOURNAL.c.time_us < before_us))
        gone = 0
        while keys := await self._old(before_us):
            async with self._db.begin() as connection:
                for tenant, name, key in keys:
                    for index in (TERMS, RANGES):
                        of_it = (index.c.tenant == tenant) & (index.c.key == key)
                        await connection.execute(delete(index).where(of_it))
                    for kept in (RESOURCES, CURRENT):
                        await connection.execute(
                            delete(kept).where(
                                kept.c.tenant == tenant, kept.c.type == KIND, kept.c.id == name
                            )
                        )
            gone += len(keys)
        return gone

    async def _old(self, before_us: int) -> list[tuple[str, str, int]]:
        query = (
            select(CURRENT.c.tenant, CURRENT.c.id, CURRENT.c.key)
            .where(CURRENT.c.type == KIND, CURRENT.c.updated_us < before_us)
            .limit(BATCH)
        )
        async with self._db.read() as connection:
            return [(t, n, k) for t, n, k in await connection.execute(query)]

    async def _settle_safely(self, tenant: str) -> int:
        try:
            return await self.settle(tenant)
        except Exception as error:  # noqa: BLE001 - the other tenants' go on
            log.error("the audit trail of a tenant waits: %s", telemetry.frames(error))
            telemetry.failure("gateway.audit", type(error).__name__)
            return 0

    async def _patients(
        self, tenant: str, rows: Sequence[JournalRow]
    ) -> dict[int, tuple[str, ...]]:
        """Return, by row, the patients concerned: those it states, else of what it names."""
        named = {row.number: _names(row.entry) for row in rows if not row.entry.patients}
        keys = list(dict.fromkeys(key for keys in named.values() for key in keys))
        found = {(s.type, s.id): s for s in await self._resources.find_many(tenant, keys)}
        whose = {key: _patients_of(stored) for key, stored in found.items()}
        concerned: dict[int, tuple[str, ...]] = {}
        for row in rows:
            keys = named.get(row.number, [])
            looked_up = [one for key in keys for one in whose.get(key, ())]
            patients = row.entry.patients or tuple(dict.fromkeys(looked_up))
            concerned[row.number] = patients[:PATIENTS_MAX]
        return concerned


def _names(entry: AuditEntry) -> list[tuple[str, str]]:
    """Return type and id of what an entry names."""
    found = []
    for name in (entry.resource, *entry.seen):
        kind, _, rest = name.partition("/")
        resource_id = rest.partition("/")[0]
        if kind[:1].isupper() and resource_id and ":" not in name:
            found.append((kind, resource_id))
    return found


def _patients_of(stored: Stored) -> list[str]:
    """Return the patients in whose compartments a resource is."""
    if stored.type == "Patient":
        return [f"Patient/{stored.id}"]
    if stored.deleted or stored.type == "Binary":
        return []
    found = memberships(stored.type, fhir.parse(stored.content))
    return sorted(one for one in found if one.startswith("Patient/"))
