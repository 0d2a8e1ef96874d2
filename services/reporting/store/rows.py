"""Rows as values: conversions, keys and the insert that may be repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.reporting.draft import Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a report."""

    number: int
    included: dict[str, Outcome]
    composed: datetime
    done: bool
    findings: dict[str, tuple[str, str]]
    """Ids that need a verdict, each with the model's name and version."""
    signed: datetime | None
    request_id: str
    amendment: bool


def of_case(table: Table, tenant: str, case_id: str) -> tuple[Any, ...]:
    """Return the conditions that select a case's rows."""
    return table.c.tenant == tenant, table.c.case_id == case_id


async def one(connection: AsyncConnection, table: Table, tenant: str, case_id: str) -> Any:
    """Return a case's single row as a mapping, or None."""
    query = select(table).where(*of_case(table, tenant, case_id))
    return (await connection.execute(query)).mappings().first()


async def insert_absent(connection: AsyncConnection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row unless its key is there."""
    made = _INSERTS[connection.dialect.name](table).values(row).on_conflict_do_nothing()
    await connection.execute(made)


def version(row: Any) -> Version:
    """Return a row of the versions as a value."""
    return Version(
        number=row["version"],
        included={part: Outcome(value) for part, value in json.loads(row["included"]).items()},
        composed=instant(row["composed_us"]),
        done=row["done"],
        findings={id_: (name, v) for id_, (name, v) in json.loads(row["findings"]).items()},
        signed=instant(row["signed_us"]) if row["signed_us"] else None,
        request_id=row["request_id"],
        amendment=row["amendment"],
    )


def microseconds(value: datetime) -> int:
    """Return microseconds since 1970 UTC."""
    return (value - _EPOCH) // timedelta(microseconds=1)


def instant(value: int) -> datetime:
    """Return the time of microseconds since 1970 UTC."""
    return _EPOCH + timedelta(microseconds=value)
