"""A service's own database: SQLite on one machine, PostgreSQL in a cluster.

A database that is away is an outage (`errors.OUTAGES`), so work waits for it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.kernel import errors

log = logging.getLogger(__name__)

LOCK = 0x64786D
"""Advisory lock that lets one process at a time make a schema ("dxm")."""
_LOCKS = {
    "postgresql": f"SELECT pg_advisory_xact_lock({LOCK})",
    "sqlite": "BEGIN IMMEDIATE",  # sqlite3 itself begins none before a change of the schema
}

SQLITE_POOL = 16
"""Connections to a SQLite file, each a thread; more would be opened and closed for each use."""

AWAY = ("08", "53", "57P")
"""SQLSTATE classes: connection exception, insufficient resources, operator intervention."""


def _connection_ended(error: BaseException) -> bool:
    """Tell whether a driver's error, which SQLAlchemy wraps without a type, means an outage."""
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(AWAY)


def _is_wrong(error: Exception) -> bool:
    """Tell whether SQLite refuses the statement itself; its driver calls that operational too."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR


errors.OUTAGES += [OperationalError, InterfaceError, sqlite3.OperationalError]
errors.OUTAGE_SIGNS.append(_connection_ended)


def open_engine(url: str) -> AsyncEngine:
    """Return an engine for `sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`."""
    if url.startswith("sqlite"):
        engine = create_async_engine(
            url, connect_args={"timeout": 30}, pool_size=SQLITE_POOL, max_overflow=0
        )
        event.listen(engine.sync_engine, "connect", _sqlite_pragmas)
        return engine
    driver = importlib.import_module("asyncpg")
    errors.OUTAGES += [
        driver.CannotConnectNowError,
        driver.PostgresConnectionError,
        driver.InterfaceError,
        driver.AdminShutdownError,
        driver.CrashShutdownError,
        driver.TooManyConnectionsError,
    ]
    return create_async_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=5)


async def create_schema(engine: AsyncEngine, metadata: MetaData) -> None:
    """Create the tables that are missing; waits for the database; safe to run at once twice."""
    await _when_ready(engine, partial(metadata.create_all, checkfirst=True))


async def upgrade_schema(
    engine: AsyncEngine, migrations: Path, version_table: str, step: str = "head"
) -> None:
    """Bring the schema up to one of Alembic's steps in a folder, the last, in one transaction.

    Waits for the database; safe to run at once twice. The folder's `env.py` finds `connection`
    and `version_table` among the configuration's attributes.
    """
    await _when_ready(engine, partial(_upgrade, migrations, version_table, step))


async def _when_ready(engine: AsyncEngine, change: Callable[[Connection], None]) -> None:
    """Change the schema, one process at a time, as soon as the database answers."""
    lock = _LOCKS[engine.dialect.name]
    while True:
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql(lock)
                await connection.run_sync(change)
            return
        except Exception as error:
            if errors.as_outage(error) is None or _is_wrong(error):
                raise
            log.warning("the database is not ready: %s", type(error).__name__)
            await asyncio.sleep(1.0)


def _upgrade(migrations: Path, version_table: str, step: str, connection: Connection) -> None:
    from alembic import command  # slow to import, and only here
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes |= {"connection": connection, "version_table": version_table}
    command.upgrade(config, step)


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
