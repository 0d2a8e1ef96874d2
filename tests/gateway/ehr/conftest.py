"""A gateway behind https, and an EHR on a real port that launches it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest


def load(name: str) -> Any:
    """Return a module beside this one; tests cannot import by name."""
    full = f"gateway_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
        assert spec and spec.loader
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def charts() -> Any:
    """The module fake_chart.py."""
    return load("fake_chart")


@pytest.fixture(scope="session")
def fake(charts: Any) -> Any:
    """The module fake_ehr.py."""
    load("fake_fhir")
    return load("fake_ehr")


@pytest.fixture(scope="session")
def writer() -> Any:
    """The module writing.py."""
    return load("writing")


@pytest.fixture(scope="session")
def steps() -> Any:
    """The module signing_steps.py."""
    return load("signing_steps")


EHR = """
[[ehrs]]
name = "north-ehr"
tenant = "north"
issuer = "{issuer}"
client_id = "dxmesh"
frame_ancestors = ["https://ehr.example"]
{more}

[[ehrs.users]]
match = "Practitioner/dr-1"
account = "reader"

[ehrs.physicians]
allow = ["urn:test:staff|*"]
"""


@dataclass
class Scene:
    """A gateway, an EHR, and a browser that goes between them."""

    world: Any
    ehr: Any
    http: httpx.AsyncClient
    """The browser at the gateway, https."""
    outside: httpx.AsyncClient
    """The browser at the EHR."""

    @property
    def gateway(self) -> Any:
        return self.world.gateway

    @property
    def client(self) -> Any:
        return self.gateway.ehrs.clients["north-ehr"]

    async def begin(self, patient: str = "p-1", **more: str) -> httpx.Response:
        """Ask for the launch; the answer leads to the EHR."""
        asked = {"iss": self.ehr.url, "launch": self.ehr.launch(patient)} | more
        return await self.http.get("/ehr/launch", params=asked)

    async def approve(self, begun: httpx.Response) -> str:
        """Follow to the EHR, which approves; return path and query of the callback."""
        answer = await self.outside.get(begun.headers["location"])
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    async def launch(self, patient: str = "p-1") -> str:
        """Launch wholly; return the root of its pages."""
        answer = await self.http.get(await self.approve(await self.begin(patient)))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"]).removesuffix("/worklist")

    async def page(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers={"Accept": "text/html"})

    async def csrf(self, root: str) -> str:
        text = (await self.page(f"{root}/worklist")).text
        return text.partition('name="csrf" value="')[2].partition('"')[0]

    async def post(self, root: str, path: str, **fields: Any) -> httpx.Response:
        form = {"csrf": await self.csrf(root)} | fields
        return await self.http.post(f"{root}{path}", data=form)


def with_ehr(world: Any, folder: Path, issuer: str, more: str = "") -> Any:
    """Return the gateway with one EHR configured, as its operator would."""
    from services.gateway.ehr import opening

    path = folder / "ehrs.toml"
    path.write_text(EHR.format(issuer=issuer, more=more))
    return replace(world.gateway, ehrs=opening._open(path))


@pytest.fixture
async def ehr(fake: Any, charts: Any) -> AsyncIterator[Any]:
    """The EHR, with two patients."""
    made = fake.FakeEhr(clients={"dxmesh": {}})
    made.put(*charts.chart("p-1"), *charts.chart("p-2", "Wu Fictional"))
    made.put(
        {
            "resourceType": "Practitioner",
            "id": "dr-1",
            "identifier": [{"system": "urn:test:staff", "value": "7"}],
            "name": [{"text": "Dr Sun (fictional)"}],
        },
        {"resourceType": "Practitioner", "id": "dr-2", "name": [{"text": "Dr Nobody"}]},
    )
    made.put({**made.resources["Practitioner", "dr-1"], "id": "dr-3"})
    async with fake.serve(made) as served:
        yield served


@pytest.fixture
async def more() -> str:
    """Further lines of the EHR's settings; a test module may override it."""
    return ""


@pytest.fixture
async def scene(world: Any, ehr: Any, tmp_path: Path, more: str) -> AsyncIterator[Scene]:
    """A gateway that the EHR may launch."""
    from services.gateway import app

    world.gateway = with_ehr(world, tmp_path, ehr.url, more)
    transport = httpx.ASGITransport(app=app.make(world.gateway))
    async with (
        httpx.AsyncClient(transport=transport, base_url="https://gateway.example") as http,
        httpx.AsyncClient() as outside,
    ):
        yield Scene(world, ehr, http, outside)
