"""The hot path's SQL, written by hand and handed to the driver itself.

Through SQLAlchemy each statement is compiled or looked up, and costs four changes of thread
with aiosqlite; here it is one. Only what every read and every write needs stands here.

A list of keys comes as JSON on SQLite and as arrays on PostgreSQL, so a statement is the same
text whatever their number. SQLite reads a table from end to end for `(a, b) IN (VALUES …)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

_PLACES = re.compile(r"\$(\d+)(::\w+(\[\])?)?")


class Statement:
    """SQL for both databases; places are `$1`, `$2`, … as PostgreSQL writes them."""

    def __init__(self, sqlite: str, postgresql: str = "") -> None:
        self.sqlite = _PLACES.sub(r"?\1", sqlite)
        self.postgresql = postgresql or sqlite


_VERSION = "r.tenant, r.type, r.id, r.version, r.seq, r.key, r.method, r.case_id, r.owned, " + (
    "r.updated_us, r.sealed"
)
_SAME = "ON r.tenant = c.tenant AND r.type = c.type AND r.id = c.id AND r.version = c.version"
_STATE = "c.type, c.id, c.version, c.key, c.deleted, c.owned, c.case_id, c.digest"
_JSON = "json_each($1) AS j CROSS JOIN gateway_current AS c ON c.tenant = j.value ->> 0 AND " + (
    "c.type = j.value ->> 1 AND c.id = j.value ->> 2"
)
_ARRAYS = "unnest($1::text[], $2::text[], $3::text[]) AS j (tenant, type, id) " + (
    "JOIN gateway_current AS c ON c.tenant = j.tenant AND c.type = j.type AND c.id = j.id"
)

CURRENT_VERSIONS = Statement(
    f"SELECT {_VERSION} FROM {_JSON} CROSS JOIN gateway_resources AS r {_SAME}",  # noqa: S608
    f"SELECT {_VERSION} FROM {_ARRAYS} JOIN gateway_resources AS r {_SAME}",  # noqa: S608
)
STATES = Statement(f"SELECT {_STATE} FROM {_JSON}", f"SELECT {_STATE} FROM {_ARRAYS}")  # noqa: S608
TAKE_LOCK = Statement(
    "INSERT INTO gateway_tenants (tenant, seq, last_us, indexed) VALUES ($1, 0, 0, $2) "
    "ON CONFLICT (tenant) DO UPDATE SET seq = gateway_tenants.seq RETURNING seq, last_us"
)
SAVEPOINT = Statement("SAVEPOINT dx_turn")
RELEASE = Statement("RELEASE SAVEPOINT dx_turn")
ROLLBACK_TO = Statement("ROLLBACK TO SAVEPOINT dx_turn")
GIVE_BACK = Statement("UPDATE gateway_tenants SET seq = $2, last_us = $3 WHERE tenant = $1")
ADD_VERSION = Statement(
    "INSERT INTO gateway_resources (tenant, type, id, version, seq, key, method, case_id, owned, "
    "updated_us, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
)
SET_CURRENT = Statement(
    "INSERT INTO gateway_current (tenant, type, id, version, seq, key, deleted, owned, case_id, "
    "updated_us, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
    "ON CONFLICT (tenant, type, id) DO UPDATE SET version = excluded.version, "
    "seq = excluded.seq, deleted = excluded.deleted, owned = excluded.owned, "
    "case_id = excluded.case_id, updated_us = excluded.updated_us, digest = excluded.digest"
)
DROP_TERMS = Statement(
    "DELETE FROM gateway_terms WHERE tenant = $1 AND key IN (SELECT value FROM json_each($2))",
    "DELETE FROM gateway_terms WHERE tenant = $1 AND key = ANY ($2::bigint[])",
)
DROP_RANGES = Statement(
    "DELETE FROM gateway_ranges WHERE tenant = $1 AND key IN (SELECT value FROM json_each($2))",
    "DELETE FROM gateway_ranges WHERE tenant = $1 AND key = ANY ($2::bigint[])",
)
ADD_TERMS = Statement(
    "INSERT INTO gateway_terms (tenant, term, key) VALUES ($1, $2, $3)",
    "INSERT INTO gateway_terms (tenant, term, key) "
    "SELECT $1, * FROM unnest($2::bytea[], $3::bigint[])",
)
ADD_RANGES = Statement(
    "INSERT INTO gateway_ranges (tenant, term, low, high, key) VALUES ($1, $2, $3, $4, $5)",
    "INSERT INTO gateway_ranges (tenant, term, low, high, key) "
    "SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])",
)

ADD_ENTRY = Statement(
    "INSERT INTO gateway_journal (tenant, time_us, event, settled, sealed) "
    "VALUES ($1, $2, $3, 0, $4)",
    "INSERT INTO gateway_journal (tenant, time_us, event, settled, sealed) "
    "SELECT t, u, e, 0, s FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[]) "
    "AS j (t, u, e, s)",
)

Values = Sequence[Any]


async def fetch(connection: AsyncConnection, statement: Statement, *values: Any) -> list[Values]:
    """Run one statement; return its rows. On PostgreSQL lists are arrays, on SQLite JSON."""
    driver = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name == "postgresql":
        return list(await driver.fetch(statement.postgresql, *values))  # type: ignore[union-attr]
    plain = [orjson.dumps(v).decode() if isinstance(v, list) else v for v in values]
    return list(await driver.execute_fetchall(statement.sqlite, plain))  # type: ignore[union-attr]


async def fetch_keys(
    connection: AsyncConnection, statement: Statement, keys: Iterable[tuple[str, str, str]]
) -> list[Values]:
    """Run a statement on (tenant, type, id) keys; the order of the rows says nothing."""
    if connection.dialect.name == "postgresql":
        return await fetch(connection, statement, *map(list, zip(*keys, strict=True)))
    return await fetch(connection, statement, list(keys))


async def run_many(
    connection: AsyncConnection, statement: Statement, rows: Sequence[Values]
) -> None:
    """Run a statement once for each row of values, in one go."""
    if not rows:
        return
    if len(rows) == 1:
        await fetch(connection, statement, *rows[0])
        return
    driver = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name == "postgresql":
        await driver.executemany(statement.postgresql, rows)  # type: ignore[union-attr]
    else:
        await driver.executemany(statement.sqlite, rows)  # type: ignore[union-attr]


async def add_columns(
    connection: AsyncConnection, statement: Statement, tenant: str, rows: Sequence[Values]
) -> None:
    """Insert rows of one tenant: as arrays of their columns on PostgreSQL."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        await fetch(connection, statement, tenant, *map(list, zip(*rows, strict=True)))
    else:
        await run_many(connection, statement, [(tenant, *row) for row in rows])


async def take_lock(connection: AsyncConnection, tenant: str, rules: int) -> tuple[int, int]:
    """Lock a tenant's row, made when missing; return its last number and time.

    The first statement of a transaction: on PostgreSQL SQLAlchemy must hand it over, since it
    begins the transaction only then.
    """
    if connection.dialect.name == "postgresql":
        found = await connection.exec_driver_sql(TAKE_LOCK.postgresql, (tenant, rules))
        return tuple(found.one())
    row = (await fetch(connection, TAKE_LOCK, tenant, rules))[0]
    return row[0], row[1]


async def add_entries(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Insert entries of the journal; may be the first statement of a transaction."""
    if connection.dialect.name == "postgresql":
        arrays = tuple(map(list, zip(*rows, strict=True)))
        await connection.exec_driver_sql(ADD_ENTRY.postgresql, arrays)
    else:
        await run_many(connection, ADD_ENTRY, rows)
