"""A FHIR client of the gateway under test; the world is that of tests/gateway/world.py."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import LETTERS, Permission, Rights
from services.kernel.database import open_engine

FHIR = "application/fhir+json"


@dataclass
class Server:
    """A client; `as_user` is the account whose token it sends."""

    world: Any
    as_user: str = "ehr"
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(
        self, method: str, path: str, content: Any = None, **headers: str
    ) -> httpx.Response:
        """Ask /fhir/{path}; a header `if_match` is `If-Match`."""
        sent = httpx.Headers({**self.world.bearer(self.as_user), "Content-Type": FHIR})
        sent.update(self.headers)
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        body = content if isinstance(content, bytes | None) else orjson.dumps(content)
        address = f"/fhir/{path}" if path else "/fhir"
        return await self.world.http.request(method, address, content=body, headers=sent)

    async def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Store a resource under its id and return it as it came back."""
        answer = await self("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def with_rights(self, rights: Rights, name: str = "app") -> Server:
        """Return a client of an account with other rights."""
        accounts = self.world.gateway.accounts
        token = uuid.uuid4().hex
        digest = hashlib.sha256(token.encode()).hexdigest()
        accounts.by_token[digest] = Principal("north", name, Role.EHR, scopes=rights)
        return Server(self.world, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def server(world: Any) -> Server:
    """The hospital's own system as a client."""
    return Server(world)


@pytest.fixture
def only_patient() -> Any:
    """Rights on one patient's compartment, by id."""

    def make(patient: str, letters: str = "cruds") -> Rights:
        return Rights((Permission("*", frozenset(letters) & LETTERS, patient),))

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def each_database(
    request: pytest.FixtureRequest, setting: Any, tmp_path: Path
) -> AsyncIterator[Server]:
    """A client of a gateway over SQLite, and of one over a real PostgreSQL."""
    if request.param == "sqlite":
        async with setting.open_world(tmp_path) as opened:
            yield Server(opened)
        return
    url = str(request.getfixturevalue("postgresql"))
    name = f"t{uuid.uuid4().hex}"
    admin = open_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    head, _, query = url.partition("?")
    own = f"{head.rpartition('/')[0]}/{name}?{query}"
    async with setting.open_world(tmp_path, own) as opened:
        yield Server(opened)
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()
