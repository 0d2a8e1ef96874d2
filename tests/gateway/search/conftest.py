"""A store to search in, and the slow search it is held against (reference.py)."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import sys
import tempfile
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.access.rights import EVERYTHING, Visibility
from services.gateway.fhir.search.query import parse
from services.gateway.store import Store, migrations, open_store
from services.gateway.store.search import Page
from services.kernel import fhir
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs

Pairs = Sequence[tuple[str, str]]
BASE = "http://gateway/fhir"


@pytest.fixture(scope="session")
def reference() -> Any:
    """The module reference.py."""
    path, full = Path(__file__).parent / "reference.py", "search_reference"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec and spec.loader
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


class Bench:
    """A store with an event loop of its own, so that hypothesis may use it many times."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._names = itertools.count()
        self.store = self.run(self._open(url))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        return self._runner.run(work)

    def fresh_tenant(self) -> str:
        """Return the name of a tenant that has nothing yet."""
        return f"t{next(self._names)}"

    async def fill(self, tenant: str, resources: Sequence[dict[str, Any]]) -> None:
        """Store resources, in order."""
        async with self.store.resources.writing(tenant) as writing:
            for resource in resources:
                await writing.save(fhir.parse(fhir.dump(resource)))

    async def page(
        self,
        tenant: str,
        kind: str,
        pairs: Pairs,
        visibility: Visibility | None = None,
        after: str = "",
    ) -> Page:
        """Return one page."""
        sight = visibility or EVERYTHING.visibility("s")
        query = parse(kind, pairs, base_url=BASE)
        assert not query.unknown, query.unknown
        return await self.store.searches.page(tenant, query, sight, after=after)

    async def ids(
        self, tenant: str, kind: str, pairs: Pairs, visibility: Visibility | None = None
    ) -> list[str]:
        """Return the ids of all matches, page after page."""
        found: list[str] = []
        after = ""
        while True:
            page = await self.page(tenant, kind, pairs, visibility, after)
            found += [stored.id for stored in page.matches]
            if not page.next:
                return found
            after = page.next

    def close(self) -> None:
        """End it."""
        self.run(self.store.database.engine.dispose())
        self._runner.close()

    async def _open(self, url: str) -> Store:
        engine = open_engine(url)
        await migrations.upgrade(engine)
        return open_store(engine, memory_blobs("identity").vault, 3600, 1800)


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A store on each database, for a whole module."""
    if request.param == "sqlite":
        with tempfile.TemporaryDirectory(prefix="dx") as folder:
            made = Bench(f"sqlite+aiosqlite:///{folder}/search.db")
            yield made
            made.close()
        return
    server = str(request.getfixturevalue("postgresql"))
    name = f"t{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    head, _, query = server.partition("?")
    made = Bench(f"{head.rpartition('/')[0]}/{name}?{query}")
    yield made
    made.close()
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    admin = open_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(statement))
    await admin.dispose()


EXAMPLES = Path(__file__).parents[4] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"


@pytest.fixture(scope="session")
def examples() -> list[dict[str, Any]]:
    """The official R4 examples, parsed; skipped where they are not at hand."""
    import tarfile

    if not EXAMPLES.is_file():
        pytest.skip("the official examples are not beside the repository (../shared/data)")
    found = []
    with tarfile.open(EXAMPLES) as archive:
        for entry in archive:
            stream = archive.extractfile(entry) if entry.name.endswith(".json") else None
            if stream:
                found.append(fhir.parse(stream.read()))
    return found
