"""A second dxmesh as the EHR: our two SMART roles meet over a real port."""

from __future__ import annotations

import asyncio
import html
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

SCOPES = (
    "launch openid fhirUser offline_access patient/Patient.rs patient/ServiceRequest.rs "
    "patient/Observation.rs patient/DocumentReference.rs user/Binary.rs "
    "patient/ImagingStudy.rs patient/Consent.rs patient/Encounter.rs user/Practitioner.rs"
)
EHRS = """
[[ehrs]]
name = "dxmesh-ehr"
tenant = "north"
issuer = "{issuer}"
client_id = "{client_id}"
scopes = "{scopes}"
key_file = "key.jwk"
frame_ancestors = ["{origin}"]

[ehrs.backend]
client_id = "{backend}"
scopes = "system/DiagnosticReport.crus"

[ehrs.physicians]
allow = ["urn:test|*"]
"""


@asynccontextmanager
async def served(world: Any, origin: str) -> AsyncIterator[None]:
    """Serve a gateway on its port."""
    from services.gateway import app, server

    settings = replace(
        world.gateway.settings, http_listen=urlsplit(origin).netloc, public_url=origin
    )
    world.gateway = replace(world.gateway, settings=settings)
    task = asyncio.create_task(server.run(server.make(app.make(world.gateway), settings)))
    async with httpx.AsyncClient(base_url=origin) as probe:
        for _ in range(100):
            try:
                await probe.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    yield
    task.cancel()
    await asyncio.wait([task])


async def register(outside: httpx.AsyncClient, world: Any, **client: Any) -> str:
    answer = await outside.post("/ops/clients", json=client, headers=world.bearer("operator"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["client_id"])


def hidden(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
    return {n: html.unescape(v) for n, v in found if n not in ("next", "language")}


async def consent(browser: httpx.AsyncClient, asked: str, password: str) -> str:
    """Sign in at the EHR, approve everything; return where the browser is sent."""
    await browser.post("/sign-in", data={"name": "reader", "password": password, "next": "/"})
    page = await browser.get(asked)
    assert page.status_code == 200, page.headers.get("location", page.text)
    scopes = re.findall(r'type="checkbox" name="scope" value="([^"]*)"', page.text)
    chosen = [html.unescape(scope) for scope in scopes]
    form = {**hidden(page.text), "decision": "approve", "scope": chosen}
    answer = await browser.post("/smart/authorize/decide", data=form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.mark.requirement("DX-EHR-13")
async def test_one_dxmesh_is_launched_by_another_and_writes_back(
    world: Any, setting: Any, charts: Any, steps: Any, tmp_path: Path
) -> None:
    from services.gateway import app
    from services.gateway.ehr import opening

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{free.getsockname()[1]}"
    key = charts.ec_key()
    (tmp_path / "ehr").mkdir()
    async with (
        setting.open_world(tmp_path / "ehr") as other,
        served(other, origin),
        httpx.AsyncClient(base_url=origin) as browser,
        httpx.AsyncClient(base_url=origin) as hospital,
    ):
        async with other.gateway.store.resources.writing("north") as writing:
            for resource in charts.chart("p-1"):
                await writing.save(orjson.dumps(resource))
        launch_url = "https://gateway.example/ehr/launch"
        app_id = await register(
            hospital,
            other,
            name="dxmesh",
            redirect_uris=["https://gateway.example/ehr/callback/dxmesh-ehr"],
            scope=SCOPES,
            launch_url=launch_url,
        )
        jwks = {"keys": [key.as_dict(private=False) | {"kid": key.thumbprint()}]}
        backend = await register(
            hospital,
            other,
            name="dxmesh writes",
            kind="asymmetric",
            role="ehr",
            scope="system/DiagnosticReport.crus",
            jwks=jwks,
        )
        (tmp_path / "key.jwk").write_text(charts.private_jwk(key))
        (tmp_path / "ehrs.toml").write_text(
            EHRS.format(
                issuer=f"{origin}/fhir",
                client_id=app_id,
                scopes=SCOPES,
                backend=backend,
                origin=origin,
            )
        )
        ehrs = await opening.open_ehrs(tmp_path / "ehrs.toml")
        world.gateway = replace(world.gateway, ehrs=ehrs)
        made = await hospital.post(
            "/smart/launches",
            json={"client_id": app_id, "patient": "p-1"},
            headers=other.bearer("ehr"),
        )
        transport = httpx.ASGITransport(app=app.make(world.gateway))
        async with httpx.AsyncClient(transport=transport) as ours:
            begun = await ours.get(made.json()["url"])
            assert begun.status_code == 303, begun.text
            back = await consent(browser, begun.headers["location"], setting.PASSWORD)
            opened = await ours.get(back)
            assert opened.status_code == 303, opened.text
            root = f"https://gateway.example{opened.headers['location']}".removesuffix("/worklist")
            page = await ours.get(f"{root}/submit", headers={"Accept": "text/html"})
            for shown in ("Chen Fictional", "CT Chest", "6.8 mmol/L", "Progress note"):
                assert shown in page.text, shown
            assert "notice" not in page.text, "every type could be read"
            form = hidden(page.text) | {
                "order": "ServiceRequest/p-1-order",
                "use": ["Observation/p-1-lab-0", "DocumentReference/p-1-note"],
            }
            sent = await ours.post(f"{root}/submit", data=form)
            assert sent.status_code == 303, sent.text
            case_id = sent.headers["location"].rpartition("/")[2]
            bundle = json.loads(world.peers.submitted[-1])
            assert [e["resource"]["resourceType"] for e in bundle["entry"]][-1:] == [
                "DocumentReference"
            ]
            ref = setting.case_ref(case_id)
            await setting.compose(world, setting.sample_report(), ref=ref)
            page = await ours.get(f"{root}/cases/{case_id}", headers={"Accept": "text/html"})
            verdicts = {
                f"verdict:{f}": "agree" for f in steps.between(page.text, 'name="verdict:', '"')
            }
            form = hidden(page.text) | verdicts
            signed = await ours.post(f"{root}/cases/{case_id}/sign", data=form)
            assert signed.status_code == 303, signed.text
        scene = _Scene(world)
        await steps.settle(scene, 2)
        write = await world.gateway.store.ehr_writes.get("north", case_id)
        assert (write.state, write.reason) == ("done", "")
        found = await hospital.get(
            f"/fhir/DiagnosticReport?identifier=urn:dxmesh:case|{case_id}",
            headers=other.bearer("ehr"),
        )
        (entry,) = [e["resource"] for e in found.json()["entry"]]
        assert entry["status"] == "final" and entry["subject"]["reference"] == "Patient/p-1"


class _Scene:
    def __init__(self, world: Any) -> None:
        self.gateway = world.gateway
