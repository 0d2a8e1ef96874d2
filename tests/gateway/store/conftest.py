"""The gateway's store on SQLite and on the real PostgreSQL: each test runs on both."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.gateway.store import Store, migrations, open_store
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of its own."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
        return
    server = str(request.getfixturevalue("postgresql"))
    name = f"t{uuid.uuid4().hex}"
    admin = open_engine(server).execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    head, _, query = server.partition("?")
    yield f"{head.rpartition('/')[0]}/{name}?{query}"
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store with its schema."""
    engine = open_engine(database_url)
    await migrations.upgrade(engine)
    yield open_store(engine, memory_blobs("identity").vault, 3600, 1800)
    await engine.dispose()
