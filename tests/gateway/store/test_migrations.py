"""The schema's steps: they make what the code declares, and carry data over, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.store import migrations, open_store
from services.gateway.store.stored import context
from services.gateway.store.tables import metadata
from services.kernel import fhir
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs


def _differences(connection: Connection) -> list[Any]:
    options = {"version_table": migrations.VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _shape(connection: Connection) -> dict[str, Any]:
    """Return what Alembic does not compare: keys, NULL, defaults, conditions of indexes."""
    looked = inspect(connection)
    shape: dict[str, Any] = {}
    for table in looked.get_table_names():
        if table == migrations.VERSION_TABLE:
            continue
        indexes = looked.get_indexes(table)
        shape[table] = (
            looked.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (c["name"], c["nullable"], str(c["default"])) for c in looked.get_columns(table)
            ),
            sorted((str(i["name"]), str(i["column_names"]), bool(i["unique"])) for i in indexes),
            [{k: str(v) for k, v in i.get("dialect_options", {}).items()} for i in indexes],
            looked.get_table_options(table),
        )
    return shape


@pytest.mark.requirement("DX-STO-05")
async def test_steps_make_what_the_code_declares(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrations.upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
        stepwise = await connection.run_sync(_shape)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    async with engine.connect() as connection:
        declared = await connection.run_sync(_shape)
    await engine.dispose()
    assert stepwise == declared


@pytest.mark.requirement("DX-STO-05")
async def test_replicas_that_start_at_once_upgrade_once(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(3)]
    await asyncio.gather(*(migrations.upgrade(engine) for engine in engines))
    await migrations.upgrade(engines[0])
    async with engines[1].connect() as connection:
        found = await connection.execute(text(f"SELECT * FROM {migrations.VERSION_TABLE}"))
        assert len(found.all()) == 1
    for engine in engines:
        await engine.dispose()


@pytest.mark.requirement("DX-STO-05")
async def test_step_that_fails_leaves_the_schema_as_it_was(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrations.upgrade(engine, "0001")
    async with engine.begin() as connection:  # in the way of step 0002
        await connection.execute(text("CREATE TABLE gateway_current_by_key (x INTEGER)"))
        await connection.execute(text("CREATE INDEX gateway_current_by_type ON "
                                      "gateway_current_by_key (x)"))  # fmt: skip
    with pytest.raises(Exception, match="gateway_current_by"):
        await asyncio.wait_for(migrations.upgrade(engine), 20)
    async with engine.connect() as connection:
        shape = await connection.run_sync(_shape)
    await engine.dispose()
    assert "gateway_tenants" not in shape
    assert "seq" not in [name for name, *_ in shape["gateway_resources"][1]]


ROWS = [
    ("north", "Device", "d-1", 1, "c-1", 1000),
    ("north", "Patient", "p-1", 1, "c-1", 1000),
    ("north", "Patient", "p-1", 2, "c-2", 2000),
    ("south", "Task", "t-1", 4, "c-9", 500),
    ("north", "Task", "c-1", 3, "c-1", 1500),
]
CURRENT = [ROWS[0], ROWS[2], ROWS[3], ROWS[4]]


async def _old(engine: AsyncEngine, keys: Any) -> None:
    """Make a store as the release before left it, which knew no steps."""
    await migrations.upgrade(engine, "0001")
    names = ("t", "k", "i", "v", "c", "u")
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE {migrations.VERSION_TABLE}"))
        for row in ROWS:
            tenant, kind, resource_id, version, *_ = row
            plain = fhir.dump({"resourceType": kind, "id": resource_id, "n": version})
            sealed = (await keys.cipher(tenant)).encrypt(
                plain, context(tenant, kind, resource_id, version)
            )
            await connection.execute(
                text("INSERT INTO gateway_resources VALUES (:t, :k, :i, :v, :c, :u, :s)"),
                dict(zip(names, row, strict=True)) | {"s": sealed},
            )
        for row in CURRENT:
            await connection.execute(
                text("INSERT INTO gateway_current VALUES (:t, :k, :i, :v, :c, :u, 'old')"),
                dict(zip(names, row, strict=True)),
            )
        await connection.execute(
            text("INSERT INTO gateway_search VALUES ('north', 'Device', 'type', 'x', 'd-1')")
        )


@pytest.mark.requirement("DX-STO-05")
async def test_store_of_the_release_before_is_carried_over(database_url: str) -> None:
    engine, keys = open_engine(database_url), memory_blobs("identity").vault
    await _old(engine, keys)
    await migrations.upgrade(engine)
    store = open_store(engine, keys, 3600, 1800)
    history = await store.resources.history("north", count=10)
    assert [(s.seq, s.type, s.version, s.key, s.owned) for s in history] == [
        (4, "Patient", 2, 2, False),
        (3, "Task", 3, 3, True),
        (2, "Patient", 1, 2, False),
        (1, "Device", 1, 1, True),
    ]
    patient = await store.resources.read("north", "Patient", "p-1")
    assert fhir.parse(patient.content)["n"] == 2
    async with store.resources.writing("north") as writing:
        stored, created = await writing.save({"resourceType": "Patient", "id": "p-1"})
    assert (stored.seq, stored.version, created) == (5, 3, False)
    assert stored.updated_us > 2000
    async with engine.connect() as connection:
        behind = text("SELECT tenant FROM gateway_tenants WHERE indexed = 0 ORDER BY tenant")
        assert (await connection.execute(behind)).scalars().all() == ["north", "south"]
    async with store.resources.writing("south") as writing:
        assert (await writing.save({"resourceType": "Flag", "id": "f"}))[0].seq == 2
    await engine.dispose()
