"""Resources: exact JSON bytes, sealed, one row per version, with what they are found by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.fhir.outcome import Gone
from services.gateway.store.audit import AuditTrail
from services.gateway.store.convoy import Convoy
from services.gateway.store.database import Database
from services.gateway.store.incoming import Incoming
from services.gateway.store.lookup import current_versions, same_version
from services.gateway.store.reading import ReadLane
from services.gateway.store.resource_tables import CURRENT, RESOURCES
from services.gateway.store.stored import Key, Resource, Stored, unsealed
from services.gateway.store.writing import Indexer, WriteObserver, Writing
from services.kernel.errors import NotFound

__all__ = ["Resources", "Stored"]

SENT = frozenset(
    {"Patient", "ServiceRequest", "ImagingStudy", "Encounter", "Practitioner", "Consent"}
)
"""What a hospital sends with a case: it may change these itself."""


class Resources:
    """The resources of every tenant."""

    def __init__(
        self,
        database: Database,
        trail: AuditTrail,
        indexers: Sequence[Indexer],
        observers: Sequence[WriteObserver] = (),
    ) -> None:
        self._db = database
        self._trail = trail
        self._indexers = indexers
        self._lane = ReadLane(database)
        self._convoys: dict[str, Convoy] = {}
        self.observers = list(observers)
        """Told of every transaction before it is committed; added to when wired."""

    async def read(self, tenant: str, kind: str, resource_id: str) -> Stored:
        """Return the current version.

        Raises
        ------
        NotFound
        Gone
            It was deleted.
        """
        found = await self.find(tenant, kind, resource_id)
        if found is None:
            raise NotFound("there is no such resource")
        if found.deleted:
            raise Gone("the resource was deleted")
        return found

    async def read_version(self, tenant: str, kind: str, resource_id: str, version: int) -> Stored:
        """Return one version.

        Raises
        ------
        NotFound
        Gone
            The version is a deletion.
        """
        query = select(RESOURCES).where(
            RESOURCES.c.tenant == tenant,
            RESOURCES.c.type == kind,
            RESOURCES.c.id == resource_id,
            RESOURCES.c.version == version,
        )
        found = await self._all(tenant, query)
        if not found:
            raise NotFound("there is no such resource")
        if found[0].deleted:
            raise Gone("this version says that the resource was deleted")
        return found[0]

    async def find(self, tenant: str, kind: str, resource_id: str) -> Stored | None:
        """Return the current version, a deletion included; None: there never was one."""
        return await self._lane.find(tenant, kind, resource_id)

    async def find_many(self, tenant: str, keys: Sequence[Key]) -> list[Stored]:
        """Return the current versions of those that exist, in the order asked for."""
        cipher = await self._db.cipher_for(tenant)
        async with self._db.read() as connection:
            found = await current_versions(connection, cipher, tenant, keys)
        return [found[key] for key in dict.fromkeys(keys) if key in found]

    async def last(self, tenant: str, stored: Stored) -> Stored:
        """Return a version; of a deletion the one before it.

        Raises
        ------
        NotFound
        """
        if not stored.deleted:
            return stored
        return await self.read_version(tenant, stored.type, stored.id, stored.version - 1)

    async def of_case(
        self, tenant: str, case_id: str, *, besides: str = "", deleted: bool = False
    ) -> list[Stored]:
        """Return the current version of every resource of a case that it was the first to have.

        Parameters
        ----------
        besides : a type that is left out
        deleted : whether deletions are among them
        """
        query = (
            select(RESOURCES)
            .join(CURRENT, same_version())
            .where(CURRENT.c.tenant == tenant, CURRENT.c.case_id == case_id)
            .order_by(CURRENT.c.type, CURRENT.c.id)
        )
        if besides:
            query = query.where(CURRENT.c.type != besides)
        return await self._all(tenant, query if deleted else query.where(~CURRENT.c.deleted))

    async def history(
        self,
        tenant: str,
        *,
        kind: str = "",
        resource_id: str = "",
        since_us: int = 0,
        until_us: int = 0,
        before_seq: int = 0,
        after_seq: int = 0,
        count: int,
    ) -> list[Stored]:
        """Return at most `count` versions, deletions included, newest first.

        Parameters
        ----------
        kind, resource_id : of this type, of this resource; empty: of any
        since_us, until_us : written at or after, at or before; 0: no limit
        before_seq : only versions older than this one (the next page)
        after_seq : only versions newer than this one, and oldest first
        """
        query = select(RESOURCES).where(RESOURCES.c.tenant == tenant)
        limits: list[tuple[object, ColumnElement[bool]]] = [
            (kind, RESOURCES.c.type == kind),
            (resource_id, RESOURCES.c.id == resource_id),
            (since_us, RESOURCES.c.updated_us >= since_us),
            (until_us, RESOURCES.c.updated_us <= until_us),
            (before_seq, RESOURCES.c.seq < before_seq),
            (after_seq, RESOURCES.c.seq > after_seq),
        ]
        query = query.where(*(limit for wanted, limit in limits if wanted))
        order = RESOURCES.c.seq if after_seq else RESOURCES.c.seq.desc()
        return await self._all(tenant, query.order_by(order).limit(count))

    @asynccontextmanager
    async def writing(
        self, tenant: str, *, connection: AsyncConnection | None = None
    ) -> AsyncIterator[Writing]:
        """Open a transaction under the tenant's lock; it is committed when this returns.

        Its body is one of several that may share a commit; one that fails takes back its own
        part alone. Never open one inside another.

        With a `connection` it is part of that transaction, which its owner commits. One that
        locks a case must do so before: case, then tenant, never the reverse.
        """
        if connection is None:
            if tenant not in self._convoys:
                self._convoys[tenant] = Convoy(self._db)
            convoy = self._convoys[tenant]
            async with convoy.join() as own, self.writing(tenant, connection=own) as writing:
                yield writing
            return
        writing = Writing(self._db, connection, tenant, self._indexers)
        await writing.lock()
        yield writing
        await writing.finish(self.observers, self._trail)

    async def put(
        self,
        connection: AsyncConnection,
        tenant: str,
        case_id: str,
        resources: Sequence[Resource],
        *,
        require: Callable[[Writing, Sequence[Resource]], Awaitable[None]] | None = None,
    ) -> None:
        """Store what the mesh made or was sent, in its transaction; see `Writing.save`.

        Parameters
        ----------
        require : looks at what is stored before what was sent is, and raises when it must not be
        """
        wanted = {(r["resourceType"], r["id"]): r for r in resources}
        items = [
            Incoming(resource=resource, case_id=case_id, owned=kind not in SENT)
            for (kind, _), resource in wanted.items()
        ]
        async with self.writing(tenant, connection=connection) as writing:
            if require:
                await require(writing, [r for (kind, _), r in wanted.items() if kind in SENT])
            await writing.save_many(items)

    async def forget_history(
        self, connection: AsyncConnection, tenant: str, kind: str, resource_id: str
    ) -> None:
        """Delete every version but the current one."""
        current = select(CURRENT.c.version).where(
            CURRENT.c.tenant == tenant, CURRENT.c.type == kind, CURRENT.c.id == resource_id
        )
        await connection.execute(
            delete(RESOURCES).where(
                RESOURCES.c.tenant == tenant,
                RESOURCES.c.type == kind,
                RESOURCES.c.id == resource_id,
                RESOURCES.c.version < current.scalar_subquery(),
            )
        )

    async def _all(self, tenant: str, query: Any) -> list[Stored]:
        cipher = await self._db.cipher_for(tenant)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [unsealed(cipher, row) for row in rows]
