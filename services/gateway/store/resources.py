"""Resources: exact JSON bytes, sealed, one row per version, with their search values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.fhir.parameters import Parameter, values
from services.gateway.progress import to_instant
from services.gateway.store.database import Database, Row, insert_absent
from services.gateway.store.tables import CURRENT, RESOURCES, SEARCH
from services.kernel import fhir
from services.kernel.crypto import KeyedHash
from services.kernel.errors import NotFound

Resource = dict[str, Any]
Place = tuple[int, str]
"""Where a page of a search begins: (updated_us, id) of the last entry before it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource."""

    type: str
    id: str
    version: int
    case_id: str
    updated_us: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Criterion:
    """A search parameter and the values any of which will do; `_id` when no parameter."""

    parameter: Parameter | None
    any_of: tuple[str, ...]


class Resources:
    """The resources of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def read(self, tenant: str, kind: str, resource_id: str) -> Stored:
        """Return the current version.

        Raises
        ------
        NotFound
        """
        query = (
            select(RESOURCES)
            .join(CURRENT, _same_version())
            .where(CURRENT.c.tenant == tenant, CURRENT.c.type == kind, CURRENT.c.id == resource_id)
        )
        return await self._one(tenant, query)

    async def read_version(self, tenant: str, kind: str, resource_id: str, version: int) -> Stored:
        """Return one version.

        Raises
        ------
        NotFound
        """
        query = select(RESOURCES).where(
            RESOURCES.c.tenant == tenant,
            RESOURCES.c.type == kind,
            RESOURCES.c.id == resource_id,
            RESOURCES.c.version == version,
        )
        return await self._one(tenant, query)

    async def of_case(self, tenant: str, case_id: str) -> list[Stored]:
        """Return the current version of every resource of a case."""
        query = (
            select(RESOURCES)
            .join(CURRENT, _same_version())
            .where(CURRENT.c.tenant == tenant, CURRENT.c.case_id == case_id)
            .order_by(CURRENT.c.type, CURRENT.c.id)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._stored(dict(row)) for row in rows]

    async def search(
        self,
        tenant: str,
        kind: str,
        criteria: Sequence[Criterion],
        *,
        count: int,
        after: Place | None = None,
    ) -> list[Stored]:
        """Return at most `count` current resources that meet every criterion, newest first."""
        hasher = await self._db.hasher_for(tenant)
        query = select(RESOURCES).join(CURRENT, _same_version())
        query = query.where(CURRENT.c.tenant == tenant, CURRENT.c.type == kind)
        for criterion in criteria:
            query = query.where(_meets(tenant, kind, criterion, hasher))
        if after:
            earlier = CURRENT.c.updated_us < after[0]
            same = and_(CURRENT.c.updated_us == after[0], CURRENT.c.id > after[1])
            query = query.where(or_(earlier, same))
        query = query.order_by(CURRENT.c.updated_us.desc(), CURRENT.c.id).limit(count)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._stored(dict(row)) for row in rows]

    async def put(
        self,
        connection: AsyncConnection,
        tenant: str,
        case_id: str,
        resources: Sequence[Resource],
    ) -> None:
        """Store each resource as its next version; one whose content is current stays.

        `meta.versionId` and `meta.lastUpdated` are the store's; nothing else is touched.
        """
        now = self._db.now_us()
        hasher = await self._db.hasher_for(tenant)
        cipher = await self._db.cipher_for(tenant)
        # Locked in one order, so that two cases sharing a Device cannot wait for each other.
        wanted = {(r["resourceType"], r["id"]): r for r in resources}
        keys = sorted(wanted)
        blank = {"version": 0, "case_id": case_id, "updated_us": now, "digest": ""}
        absent = [{"tenant": tenant, "type": t, "id": i, **blank} for t, i in keys]
        await insert_absent(connection, CURRENT, absent)
        rows: list[Row] = []
        found: list[Row] = []
        for key, version, digest in await self._lock(connection, tenant, keys):
            content = wanted[key]
            fresh = hasher("resource", fhir.dump(content).decode())
            if fresh == digest:
                continue
            row = {"tenant": tenant, "type": key[0], "id": key[1], "version": version + 1}
            plain = fhir.dump(_with_meta(content, version + 1, now))
            row |= {"case_id": case_id, "updated_us": now, "digest": fresh}
            row["sealed"] = cipher.encrypt(plain, _context(row))
            rows.append(row)
            found += _search_rows(tenant, key, content, hasher)
        if rows:
            await _write(connection, rows, found)

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

    async def _lock(
        self, connection: AsyncConnection, tenant: str, keys: Sequence[tuple[str, str]]
    ) -> list[tuple[tuple[str, str], int, str]]:
        query = (
            select(CURRENT)
            .where(CURRENT.c.tenant == tenant, tuple_(CURRENT.c.type, CURRENT.c.id).in_(keys))
            .order_by(CURRENT.c.type, CURRENT.c.id)
            .with_for_update()
        )
        rows = (await connection.execute(query)).mappings().all()
        return [((row["type"], row["id"]), row["version"], row["digest"]) for row in rows]

    async def _one(self, tenant: str, query: Any) -> Stored:
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise NotFound("there is no such resource")
        return await self._stored(dict(row))

    async def _stored(self, row: Row) -> Stored:
        cipher = await self._db.cipher_for(row["tenant"])
        content = cipher.decrypt(row["sealed"], _context(row))
        return Stored(
            row["type"], row["id"], row["version"], row["case_id"], row["updated_us"], content
        )


async def _write(connection: AsyncConnection, rows: list[Row], found: list[Row]) -> None:
    versions = [{k: v for k, v in row.items() if k != "digest"} for row in rows]
    await connection.execute(insert(RESOURCES), versions)
    where = [CURRENT.c[name] == bindparam(f"k_{name}") for name in ("tenant", "type", "id")]
    changes: dict[str, Any] = {
        name: bindparam(f"v_{name}") for name in ("version", "updated_us", "digest")
    }
    await connection.execute(
        update(CURRENT).where(*where).values(changes),
        [
            {f"k_{name}": row[name] for name in ("tenant", "type", "id")}
            | {f"v_{name}": row[name] for name in changes}
            for row in rows
        ],
    )
    stale = [SEARCH.c[name] == bindparam(f"k_{name}") for name in ("tenant", "type", "id")]
    await connection.execute(
        delete(SEARCH).where(*stale),
        [{f"k_{name}": row[name] for name in ("tenant", "type", "id")} for row in rows],
    )
    await insert_absent(connection, SEARCH, found)


def _meets(tenant: str, kind: str, criterion: Criterion, hasher: KeyedHash) -> ColumnElement[bool]:
    if criterion.parameter is None:
        return CURRENT.c.id.in_(criterion.any_of)
    parameter = criterion.parameter
    wanted = [_value(parameter, value, hasher) for value in criterion.any_of]
    return CURRENT.c.id.in_(
        select(SEARCH.c.id).where(
            SEARCH.c.tenant == tenant,
            SEARCH.c.type == kind,
            SEARCH.c.param == parameter.name,
            SEARCH.c.value.in_(wanted),
        )
    )


def _search_rows(
    tenant: str, key: tuple[str, str], content: Mapping[str, Any], hasher: KeyedHash
) -> list[Row]:
    return [
        {
            "tenant": tenant,
            "type": key[0],
            "id": key[1],
            "param": parameter.name,
            "value": _value(parameter, value, hasher),
        }
        for parameter, value in values(content)
    ]


def _value(parameter: Parameter, value: str, hasher: KeyedHash) -> str:
    return hasher("search", parameter.path, value) if parameter.hidden else value


def _with_meta(content: Resource, version: int, now_us: int) -> Resource:
    meta = {**content.get("meta", {}), "versionId": str(version), "lastUpdated": to_instant(now_us)}
    head = {"resourceType": content["resourceType"], "id": content["id"], "meta": meta}
    return head | {name: value for name, value in content.items() if name not in head}


def _same_version() -> ColumnElement[bool]:
    return and_(
        RESOURCES.c.tenant == CURRENT.c.tenant,
        RESOURCES.c.type == CURRENT.c.type,
        RESOURCES.c.id == CURRENT.c.id,
        RESOURCES.c.version == CURRENT.c.version,
    )


def _context(row: Row) -> str:
    """Return where a sealed version stands; it decrypts nowhere else."""
    return f"{RESOURCES.name}/{row['tenant']}/{row['type']}/{row['id']}/{row['version']}"
