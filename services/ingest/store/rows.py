"""Statements that two databases spell differently, and times as integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


async def insert_absent(connection: AsyncConnection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless one of its keys is there; tell whether it was inserted."""
    made = _INSERTS[connection.dialect.name](table).values(row).on_conflict_do_nothing()
    return bool((await connection.execute(made)).rowcount)


async def insert_new(
    connection: AsyncConnection, table: Table, rows: list[dict[str, Any]], key: str
) -> set[str]:
    """Insert the rows whose keys are not there; return the value of column `key` of those."""
    # Rows as parameters, not as values: the statement is then the same for any number of them.
    made = _absent(connection.dialect.name, table, key)
    return set((await connection.execute(made, rows)).scalars())


@cache
def _absent(dialect: str, table: Table, key: str) -> Any:
    return _INSERTS[dialect](table).on_conflict_do_nothing().returning(table.c[key])


def microseconds(instant: datetime) -> int:
    """Return microseconds since 1970 UTC."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds_: int) -> datetime:
    """Return the time that so many microseconds since 1970 UTC are."""
    return _EPOCH + timedelta(microseconds=microseconds_)
