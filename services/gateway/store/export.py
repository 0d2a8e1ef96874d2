"""Exports in the store: the jobs, and the resources as they were at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, insert, or_, select, update

from services.gateway.export.job import (
    CANCELLED,
    RUNNING,
    Job,
    Progress,
    dump_progress,
    dump_request,
    load_progress,
    load_request,
)
from services.gateway.fhir.outcome import TooManyRequests
from services.gateway.store.audit import AuditEntry, AuditTrail
from services.gateway.store.database import Database, Row
from services.gateway.store.export_tables import EXPORTS
from services.gateway.store.resource_tables import RESOURCES, TENANTS
from services.gateway.store.stored import Stored, unsealed
from services.kernel.errors import Damaged, NotFound

RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A version that is current in the snapshot: where it is and how large."""

    id: str
    version: int
    seq: int
    deleted: bool
    size: int


class Exports:
    """The export jobs of every tenant."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._db = database
        self._audit = audit

    async def owner(self, tenant: str, account: str, client_id: str) -> str:
        """Return how a job's owner is written."""
        hasher = await self._db.hasher_for(tenant)
        return hasher("export-owner", account, client_id)

    async def snapshot(self, tenant: str) -> tuple[int, int]:
        """Return the last committed version's number, and when it was written, µs.

        Numbers have no gap and a later version has a later time, so what is up to this number
        is exactly what was modified up to this time.
        """
        query = select(TENANTS.c.seq, TENANTS.c.last_us).where(TENANTS.c.tenant == tenant)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).first()
        return (row[0], row[1]) if row else (0, self._db.now_us())

    async def create(
        self, job: Job, entries: Sequence[AuditEntry], *, of_tenant_max: int, of_owner_max: int
    ) -> None:
        """Write a new job down, and the audit of it.

        Raises
        ------
        TooManyRequests
            The tenant or the owner has as many running as is allowed.
        """
        cipher = await self._db.cipher_for(job.tenant)
        row = {
            "tenant": job.tenant,
            "id": job.id,
            "owner": job.owner,
            "status": job.status,
            "seq": job.seq,
            "transaction_us": job.transaction_us,
            "created_us": job.created_us,
            "expires_us": 0,
            "reason": "",
            "sealed": cipher.encrypt(dump_request(job), _context(job.tenant, job.id)),
            "progress": dump_progress(job.progress),
        }
        running = (EXPORTS.c.tenant == job.tenant, EXPORTS.c.status == RUNNING)
        mine = func.sum(case((EXPORTS.c.owner == job.owner, 1), else_=0))
        async with self._db.begin() as connection:
            # The insert takes SQLite's only place for writers; the tenant's row keeps two who
            # come at once from each counting without the other.
            await connection.execute(insert(EXPORTS).values(row))
            await connection.execute(
                select(TENANTS.c.seq).where(TENANTS.c.tenant == job.tenant).with_for_update()
            )
            counted = select(func.count(), func.coalesce(mine, 0)).where(*running)
            total, own = (await connection.execute(counted)).one()
            if total > of_tenant_max or own > of_owner_max:
                raise TooManyRequests("as many exports run as are allowed", RETRY_S)
            await self._audit.write(connection, entries)

    async def get(self, tenant: str, job_id: str) -> Job:
        """Return a job.

        Raises
        ------
        NotFound
        """
        query = select(EXPORTS).where(EXPORTS.c.tenant == tenant, EXPORTS.c.id == job_id)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or row["status"] == CANCELLED:
            raise NotFound("there is no such export; it was deleted or has expired")
        return await self._job(dict(row))

    async def unfinished(self, limit: int) -> list[Job]:
        """Return the oldest jobs that run or should, of all tenants."""
        query = select(EXPORTS).where(EXPORTS.c.status == RUNNING)
        query = query.order_by(EXPORTS.c.created_us).limit(limit)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._job(dict(row)) for row in rows]

    async def over(self, limit: int) -> list[tuple[str, str]]:
        """Return tenant and id of jobs whose files must go: cancelled or expired."""
        expired = and_(EXPORTS.c.expires_us > 0, EXPORTS.c.expires_us < self._db.now_us())
        query = select(EXPORTS.c.tenant, EXPORTS.c.id)
        query = query.where(or_(EXPORTS.c.status == CANCELLED, expired)).limit(limit)
        async with self._db.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(query)]

    async def save(self, job: Job, before: Progress, progress: Progress) -> bool:
        """Write how far a job has come; False: it does not run any more, or another was faster."""
        unchanged = EXPORTS.c.progress == dump_progress(before)
        return await self._change(job, {"progress": dump_progress(progress)}, unchanged)

    async def finish(self, job: Job, status: str, keep_s: float, reason: str = "") -> bool:
        """End a job; its files stay for `keep_s`. False: it was ended before."""
        expires = self._db.now_us() + int(keep_s * 1_000_000)
        return await self._change(
            job, {"status": status, "expires_us": expires, "reason": reason[:64]}
        )

    async def cancel(self, tenant: str, job_id: str) -> None:
        """Mark a job as deleted by its owner, whatever it does."""
        here = (EXPORTS.c.tenant == tenant, EXPORTS.c.id == job_id)
        async with self._db.begin() as connection:
            await connection.execute(update(EXPORTS).where(*here).values(status=CANCELLED))

    async def forget(self, tenant: str, job_id: str) -> None:
        """Delete a job whose files are gone."""
        here = (EXPORTS.c.tenant == tenant, EXPORTS.c.id == job_id)
        async with self._db.begin() as connection:
            await connection.execute(delete(EXPORTS).where(*here))

    async def _change(self, job: Job, values: Row, *where: ColumnElement[bool]) -> bool:
        query = update(EXPORTS).where(
            EXPORTS.c.tenant == job.tenant,
            EXPORTS.c.id == job.id,
            EXPORTS.c.status == RUNNING,
            *where,
        )
        async with self._db.begin() as connection:
            return (await connection.execute(query.values(values))).rowcount == 1

    async def _job(self, row: Row) -> Job:
        cipher = await self._db.cipher_for(row["tenant"])
        sealed = cipher.decrypt(row["sealed"], _context(row["tenant"], row["id"]))
        url, asked, rights = load_request(sealed)
        names = ("tenant", "id", "owner", "status", "seq", "transaction_us", "created_us")
        return Job(
            **{name: row[name] for name in (*names, "expires_us", "reason")},
            url=url,
            asked=asked,
            rights=rights,
            progress=load_progress(row["progress"]),
        )


class Snapshot:
    """The resources of one tenant as they were when version `seq` was the last one."""

    def __init__(self, database: Database, tenant: str, seq: int) -> None:
        self._db = database
        self._tenant = tenant
        self._seq = seq

    async def kinds(self) -> list[str]:
        """Return the resource types there are."""
        query = select(RESOURCES.c.type).where(RESOURCES.c.tenant == self._tenant).distinct()
        async with self._db.read() as connection:
            return sorted((await connection.execute(query)).scalars())

    async def places(
        self, kind: str, after_seq: int, since_us: int, until_us: int, limit: int
    ) -> list[Place]:
        """Return the next versions of a type that are current in the snapshot, oldest first.

        Parameters
        ----------
        since_us, until_us : written after, and up to; 0: no limit
        """
        later = RESOURCES.alias("later")
        replaced = exists().where(
            later.c.tenant == RESOURCES.c.tenant,
            later.c.type == RESOURCES.c.type,
            later.c.id == RESOURCES.c.id,
            later.c.version == RESOURCES.c.version + 1,
            later.c.seq <= self._seq,
        )
        query = select(
            RESOURCES.c.id,
            RESOURCES.c.version,
            RESOURCES.c.seq,
            RESOURCES.c.method,
            func.length(RESOURCES.c.sealed),
        ).where(
            RESOURCES.c.tenant == self._tenant,
            RESOURCES.c.type == kind,
            RESOURCES.c.seq > after_seq,
            RESOURCES.c.seq <= self._seq,
            ~replaced,
        )
        if since_us:
            query = query.where(RESOURCES.c.updated_us > since_us)
        if until_us:
            query = query.where(RESOURCES.c.updated_us <= until_us)
        query = query.order_by(RESOURCES.c.seq).limit(limit)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Place(r[0], r[1], r[2], r[3] == "DELETE", r[4] or 0) for r in rows]

    async def read(self, kind: str, places: Sequence[Place]) -> list[Stored | Place]:
        """Return the versions at places, in order; a place stands for one that is damaged."""
        wanted = [place.seq for place in places]
        query = select(RESOURCES).where(
            RESOURCES.c.tenant == self._tenant,
            RESOURCES.c.type == kind,
            RESOURCES.c.seq.in_(wanted),
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        cipher = await self._db.cipher_for(self._tenant)
        by_seq = {row["seq"]: row for row in rows}
        found: list[Stored | Place] = []
        for place in places:
            if place.seq not in by_seq:
                continue  # its history was forgotten meanwhile
            found.append(_opened(cipher, by_seq[place.seq], place))
        return found

    async def before(self, kind: str, place: Place) -> Stored | None:
        """Return the version before a deletion, which says whose the resource was."""
        query = select(RESOURCES).where(
            RESOURCES.c.tenant == self._tenant,
            RESOURCES.c.type == kind,
            RESOURCES.c.id == place.id,
            RESOURCES.c.version == place.version - 1,
        )
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or row["method"] == "DELETE":
            return None
        opened = _opened(await self._db.cipher_for(self._tenant), row, place)
        return opened if isinstance(opened, Stored) else None


def _opened(cipher: Any, row: Any, place: Place) -> Stored | Place:
    try:
        return unsealed(cipher, row)
    except Damaged:
        return place


def _context(tenant: str, job_id: str) -> str:
    return f"{EXPORTS.name}/{tenant}/{job_id}"
