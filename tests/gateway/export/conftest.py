"""A backend service that exports in bulk, and a store with something to export."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import orjson
import pytest

from services.gateway import app
from services.gateway.access.accounts import Accounts
from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import Rights

ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}


@dataclass
class Bulk:
    """Asks for exports and fetches them."""

    world: Any
    http: httpx.AsyncClient
    headers: dict[str, str]

    async def start(self, path: str = "/fhir/$export", **params: Any) -> httpx.Response:
        return await self.http.get(path, params=params, headers=self.headers | ASYNC)

    async def work(self) -> None:
        """Let the worker do all there is to do."""
        while await self.world.gateway.exports.once():
            pass

    async def manifest(self, path: str = "/fhir/$export", **params: Any) -> dict[str, Any]:
        begun = await self.start(path, **params)
        assert begun.status_code == 202, begun.text
        await self.work()
        done = await self.get(begun.headers["content-location"])
        assert done.status_code == 200, done.text
        return dict(done.json())

    async def get(self, url: str) -> httpx.Response:
        return await self.http.get(url, headers=self.headers)

    async def delete(self, url: str) -> httpx.Response:
        return await self.http.delete(url, headers=self.headers)

    async def lines(self, manifest: dict[str, Any], role: str = "output") -> dict[str, list[bytes]]:
        """Return the lines of every file by type, and hold counts and types against them."""
        found: dict[str, list[bytes]] = {}
        for entry in manifest[role]:
            answer = await self.get(entry["url"])
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "application/fhir+ndjson"
            assert answer.content.endswith(b"\n")
            lines = answer.content[:-1].split(b"\n")
            assert len(lines) == entry["count"]
            assert all(orjson.loads(line)["resourceType"] == entry["type"] for line in lines)
            found.setdefault(entry["type"], []).extend(lines)
        return found

    async def ids(self, path: str = "/fhir/$export", **params: Any) -> set[str]:
        """Return what an export holds, as Type/id."""
        lines = await self.lines(await self.manifest(path, **params))
        return {f"{k}/{orjson.loads(line)['id']}" for k, each in lines.items() for line in each}


async def save(world: Any, *resources: Any, tenant: str = "north") -> None:
    """Put resources into the store, dicts or exact bytes."""
    async with world.gateway.store.resources.writing(tenant) as writing:
        for resource in resources:
            await writing.save(resource)


async def remove(world: Any, kind: str, resource_id: str) -> None:
    async with world.gateway.store.resources.writing("north") as writing:
        await writing.remove(kind, resource_id)


@pytest.fixture
def keep() -> Callable[..., Awaitable[None]]:
    """Saves resources."""
    return save


@pytest.fixture
def drop() -> Callable[..., Awaitable[None]]:
    """Deletes one."""
    return remove


@pytest.fixture
def bulk(world: Any) -> Bulk:
    """The hospital's own system."""
    return Bulk(world, world.http, world.bearer())


@pytest.fixture
def client(world: Any) -> Callable[..., Bulk]:
    """Makes backend services of the accounts file with rights of their own."""

    def make(name: str, allowed: Rights, tenant: str = "north") -> Bulk:
        token = f"token-of-{name}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        principal = Principal(tenant, name, Role.EHR, scopes=allowed, client_id=name)
        known = world.gateway.accounts
        accounts = Accounts({**known.by_token, digest: principal}, known.by_name, known.passwords)
        gateway = replace(world.gateway, accounts=accounts)
        transport = httpx.ASGITransport(app=app.make(gateway))
        http = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        return Bulk(world, http, {"Authorization": f"Bearer {token}"})

    return make
