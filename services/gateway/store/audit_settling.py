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

from sqlalchemy import delete, func, select, update

from services.gateway.fhir.search.compartments import memberships
from services.gateway.store.audit import AuditEntry, AuditTrail, JournalRow
from services.gateway.store.audit_event import audit_event
from services.gateway.store.audit_tables import JOURNAL
from services.gateway.store.database import Database
from services.gateway.store.index_tables import RANGES, TERMS
from services.gateway.store.leases import Leases
from services.gateway.store.resource_tables import CURRENT, RESOURCES
from services.gateway.store.resources import Resources
from services.gateway.store.stored import Stored
from services.gateway.store.writing import Incoming
from services.kernel import fhir, telemetry
from services.kernel.errors import MeshError, Unavailable

log = logging.getLogger(__name__)

KIND = "AuditEvent"
BATCH = 50
REST = 4.0
"""How much longer it rests than it works: making an AuditEvent costs more than a read."""
LEASE, LEASE_S = "audit", 60.0
LOOK_S, FORGET_S, CATCH_UP_S = 2.0, 3600.0, 10.0
NO_LAST = 1 << 62
US = 1_000_000
YEAR_US = 365_250_000 * 86_400
PATIENTS_MAX = 50
Name = tuple[str, str, int]


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

        It rests much longer than it works, so that a hospital's own requests are not held up.
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
            await asyncio.sleep(REST * (time.monotonic() - began) if worked else LOOK_S)

    async def waiting(self) -> list[str]:
        """Return the tenants that have entries without an AuditEvent."""
        query = select(JOURNAL.c.tenant).where(JOURNAL.c.settled == 0, JOURNAL.c.event != "")
        async with self._db.read() as connection:
            return sorted((await connection.execute(query.distinct())).scalars())

    async def catch_up(self, tenant: str) -> None:
        """Settle every entry there is now, so that what an auditor is shown is complete.

        Raises
        ------
        Unavailable
            There were too many for one request; the next one goes on.
        """
        mine = (JOURNAL.c.tenant == tenant) & (JOURNAL.c.settled == 0)
        async with self._db.read() as connection:
            last = (await connection.execute(select(func.max(JOURNAL.c.id)).where(mine))).scalar()
        until = time.monotonic() + CATCH_UP_S
        while last and await self.settle(tenant, last):
            if time.monotonic() > until:
                raise Unavailable("the audit trail is being made ready", reason="AUDIT_BEHIND")

    async def settle(self, tenant: str, last: int = NO_LAST) -> int:
        """Make AuditEvents of the oldest entries that have none; return of how many."""
        query = (
            select(JOURNAL)
            .where(
                JOURNAL.c.tenant == tenant,
                JOURNAL.c.settled == 0,
                JOURNAL.c.event != "",
                JOURNAL.c.id <= last,
            )
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
        wanted = {name for names in named.values() for name in names}
        keys = list(dict.fromkeys((kind, resource_id) for kind, resource_id, _ in wanted))
        current = {(s.type, s.id): s for s in await self._resources.find_many(tenant, keys)}
        whose = {name: await self._whose(tenant, name, current.get(name[:2])) for name in wanted}
        concerned: dict[int, tuple[str, ...]] = {}
        for row in rows:
            found = [one for name in named.get(row.number, []) for one in whose[name]]
            concerned[row.number] = (row.entry.patients or tuple(dict.fromkeys(found)))[
                :PATIENTS_MAX
            ]
        return concerned

    async def _whose(self, tenant: str, name: Name, now: Stored | None) -> list[str]:
        """Return the patients of a resource: in the version that is named, else the last one."""
        kind, resource_id, version = name
        if kind == "Patient":
            return [f"Patient/{resource_id}"]
        if now is None or kind in ("Binary", KIND):
            return []
        version = version or now.version
        if now.deleted and version == now.version:
            version -= 1
        if version != now.version:
            try:
                now = await self._resources.read_version(tenant, kind, resource_id, version)
            except MeshError as error:
                if error.grpc_status != "NOT_FOUND":
                    raise
                return []
        found = memberships(kind, fhir.parse(now.content))
        return sorted(one for one in found if one.startswith("Patient/"))


def _names(entry: AuditEntry) -> list[Name]:
    """Return type, id and version (0: none stated) of what an entry names."""
    found: list[Name] = []
    for name in (entry.resource, *entry.seen):
        kind, _, rest = name.partition("/")
        resource_id, _, version = rest.partition("/_history/")
        if kind[:1].isupper() and resource_id and ":" not in name and "/" not in resource_id:
            stated = int(version) if version.isascii() and version.isdigit() else 0
            found.append((kind, resource_id, stated))
    return found
