"""A gateway whose subscriptions are delivered when the test says so, by the test's clock."""

from __future__ import annotations

import importlib.util
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from services.gateway import app
from services.gateway.addresses import parse as parse_addresses
from services.gateway.call import Gateway
from services.gateway.outbound import Outbound
from services.gateway.subscriptions.delivery import Delivery
from services.gateway.subscriptions.wiring import attach
from services.kernel import fhir

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FHIR = "application/fhir+json"


def _load(name: str) -> Any:
    full = f"subscriptions_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
        assert spec and spec.loader
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    us: int = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def pass_s(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


@dataclass
class Post:
    """The gateway, an endpoint, and what carries events from one to the other."""

    world: Any
    gateway: Gateway
    delivery: Delivery
    http: httpx.AsyncClient
    clock: Clock
    receiver: Any
    resolved: dict[str, list[str]] = field(default_factory=dict)

    async def send(
        self, method: str, path: str, body: Any = None, name: str = "ehr", **headers: str
    ) -> httpx.Response:
        sent = {**self.world.bearer(name), "Content-Type": FHIR, **headers}
        content = orjson.dumps(body) if body is not None else None
        return await self.http.request(method, path, content=content, headers=sent)

    async def subscribe(self, resource: dict[str, Any], name: str = "ehr") -> str:
        answer = await self.send("POST", "/fhir/Subscription", resource, name)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def put(self, resource: dict[str, Any], name: str = "ehr") -> httpx.Response:
        path = f"/fhir/{resource['resourceType']}/{resource['id']}"
        answer = await self.send("PUT", path, resource, name)
        assert answer.status_code in (200, 201), answer.text
        return answer

    async def deliver(self, *, rounds: int = 1) -> None:
        for _ in range(rounds):
            await self.delivery.sweep()
            await self.delivery.settle()

    async def read(self, subscription_id: str, name: str = "ehr") -> dict[str, Any]:
        answer = await self.send("GET", f"/fhir/Subscription/{subscription_id}", name=name)
        return dict(fhir.parse(answer.content))

    async def standing(self, subscription_id: str, tenant: str = "north") -> Any:
        return await self.gateway.store.subscriptions.standing(tenant, subscription_id)

    def again(self) -> Delivery:
        """Return another replica's delivery over the same database."""
        return Delivery(self.gateway, self.clock, chance=lambda: 1.0)


@pytest.fixture
async def post(setting: Any, tmp_path: Path) -> AsyncIterator[Post]:
    """A gateway that may call 127.0.0.1 by plain HTTP, and an endpoint there."""
    receivers = _load("receiver")
    async with setting.open_world(tmp_path) as world, receivers.open_receiver() as receiver:
        resolved: dict[str, list[str]] = {"127.0.0.1": ["127.0.0.1"]}

        async def resolve(host: str, port: int) -> list[str]:
            return resolved[host]

        addresses = parse_addresses("*.example.org", "http://127.0.0.1")
        outbound = Outbound(addresses, ssl.create_default_context(), resolve)
        gateway = replace(world.gateway, outbound=outbound)
        gateway.store.resources.observers.clear()
        clock = Clock()
        delivery = attach(gateway, clock)
        transport = httpx.ASGITransport(app=app.make(gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield Post(world, gateway, delivery, http, clock, receiver, resolved)
        await delivery.stop()


@pytest.fixture
def asked() -> Any:
    """Makes Subscriptions."""
    return _load("asking")


@pytest.fixture
def receivers() -> Any:
    """The module receiver.py."""
    return _load("receiver")


@pytest.fixture
def delivering_module() -> Any:
    """The module delivering.py."""
    return _load("delivering")
