"""The search values of issue 3's parameters: written with each resource, and looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.fhir.parameters import Parameter, values
from services.gateway.store.database import Database, Row, insert_absent
from services.gateway.store.lookup import same_version
from services.gateway.store.resource_tables import CURRENT, RESOURCES, SEARCH
from services.gateway.store.stored import Resource, Stored
from services.kernel.crypto import KeyedHash

Place = tuple[int, str]
"""Where a page of a search begins: (updated_us, id) of the last entry before it."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A search parameter and the values any of which will do; `_id` when no parameter."""

    parameter: Parameter | None
    any_of: tuple[str, ...]


class ValueIndex:
    """Fills `gateway_search`; an `Indexer` of `store.writing`."""

    rules = 0

    def __init__(self, database: Database) -> None:
        self._db = database

    async def write(
        self,
        connection: AsyncConnection,
        tenant: str,
        items: Sequence[tuple[Stored, Resource | None]],
    ) -> None:
        """Replace the values of resources; of one that is None, drop them."""
        hasher = await self._db.hasher_for(tenant)
        stale = [SEARCH.c[name] == bindparam(f"k_{name}") for name in ("tenant", "type", "id")]
        keys = [{"k_tenant": tenant, "k_type": s.type, "k_id": s.id} for s, _ in items]
        await connection.execute(delete(SEARCH).where(*stale), keys)
        latest = {(stored.type, stored.id): resource for stored, resource in items}
        rows = [
            row
            for key, resource in latest.items()
            if resource is not None
            for row in _rows(tenant, key, resource, hasher)
        ]
        await insert_absent(connection, SEARCH, rows)


def search(
    tenant: str,
    kind: str,
    criteria: Sequence[Criterion],
    hasher: KeyedHash,
    *,
    count: int,
    after: Place | None,
) -> Select[Any]:
    """Return the query for at most `count` current versions, newest first."""
    query = select(RESOURCES).join(CURRENT, same_version())
    query = query.where(CURRENT.c.tenant == tenant, CURRENT.c.type == kind, ~CURRENT.c.deleted)
    for criterion in criteria:
        query = query.where(_meets(tenant, kind, criterion, hasher))
    if after:
        earlier = CURRENT.c.updated_us < after[0]
        same = and_(CURRENT.c.updated_us == after[0], CURRENT.c.id > after[1])
        query = query.where(or_(earlier, same))
    return query.order_by(CURRENT.c.updated_us.desc(), CURRENT.c.id).limit(count)


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


def _rows(
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
