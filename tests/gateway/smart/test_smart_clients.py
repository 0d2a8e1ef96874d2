"""Other people's clients, and the command line, against a gateway that listens on a port."""

from __future__ import annotations

import asyncio
import html
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fhirclient import client as fhirclient
from fhirclient.models.patient import Patient
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from services.cli import client_commands
from services.gateway import app, server
from services.gateway.addresses import parse
from services.gateway.outbound import open_outbound

CALLBACK = "https://app.example/callback"


@dataclass
class Served:
    """A gateway that listens."""

    url: str
    setting: Any
    world: Any
    loop: asyncio.AbstractEventLoop

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@pytest.fixture
def served(setting: Any, tmp_path: Path) -> Iterator[Served]:
    """The gateway under granian in a thread, with one patient."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        async with setting.open_world(tmp_path) as world:
            own = {"http_listen": f"127.0.0.1:{port}", "outbound_private_hosts": "http://127.0.0.1"}
            settings = replace(world.gateway.settings, **own)
            outbound = open_outbound(settings)
            gateway = replace(world.gateway, settings=settings, outbound=outbound)
            async with gateway.store.resources.writing("north") as writing:
                patient = {"resourceType": "Patient", "id": "p-1", "name": [{"family": "Zhang"}]}
                await writing.save(orjson.dumps(patient))
            task = asyncio.create_task(server.run(server.make(app.make(gateway), settings)))
            found.update(world=world, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            ready.set()
            await found["stop"].wait()
            task.cancel()
            await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    made = Served(f"http://127.0.0.1:{port}", setting, found["world"], found["loop"])
    for _ in range(100):
        try:
            httpx.get(f"{made.url}/healthz")
            break
        except httpx.TransportError:
            threading.Event().wait(0.05)
    yield made
    made.loop.call_soon_threadsafe(found["stop"].set)
    thread.join(15)


@pytest.fixture
def command(served: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs `dxmesh client …` as the operator and gives back its JSON."""
    monkeypatch.setenv("DX_TOKEN", "token-of-operator")

    def run(*args: str) -> Any:
        done = CliRunner().invoke(client_commands.app, [*args, "--url", served.url, "--json"])
        if done.exit_code:
            raise done.exception or AssertionError(done.output)
        return json.loads(done.stdout)

    return run


def consent(served: Served, address: str, **answers: str) -> str:
    """Be the physician's browser: sign in, choose, allow; return where the app is called back."""
    with httpx.Client(base_url=served.url) as browser:
        form = {"name": "reader", "password": served.setting.PASSWORD, "next": "/worklist"}
        assert browser.post("/sign-in", data=form).status_code == 303
        page = browser.get(address)
        for _ in range(3):
            assert page.status_code == 200, page.text
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
            sent: dict[str, Any] = {n: html.unescape(v) for n, v in fields.items()}
            sent["scope"] = [
                html.unescape(v) for v in re.findall(r'name="scope" value="([^"]*)"', page.text)
            ]
            last = 'value="approve"' in page.text
            sent |= {"decision": "approve"} if last else {"patient": "p-1"}
            page = browser.post("/smart/authorize/decide", data=sent)
            if page.status_code == 303:
                return str(page.headers["location"])
    raise AssertionError("the pages do not end")


@pytest.mark.requirement("DX-SMT-13")
@pytest.mark.parametrize("kind", ["public", "symmetric"])
def test_fhirclient_launches_reads_and_refreshes(served: Served, command: Any, kind: str) -> None:
    """The SMART client of the SMART team, unmodified."""
    scope = "openid fhirUser launch/patient offline_access patient/*.read"
    made = command(
        "register", "Growth chart", "--scope", scope, "--redirect", CALLBACK, "--kind", kind
    )
    smart = fhirclient.FHIRClient(
        settings={
            "app_id": made["client_id"],
            "app_secret": made.get("client_secret"),
            "api_base": f"{served.url}/fhir",
            "redirect_uri": CALLBACK,
            "scope": scope,
        }
    )
    address = smart.authorize_url
    assert address and address.startswith(f"{served.url}/smart/authorize?")
    smart.handle_callback(consent(served, address))
    assert smart.ready and smart.patient is not None
    assert smart.patient.id == "p-1" and smart.patient.name[0].family == "Zhang"
    found = Patient.where(struct={"family": "zhang"}).perform_resources(smart.server)
    assert [patient.id for patient in found] == ["p-1"]
    before = smart.server.auth.access_token
    assert smart.reauthorize() and smart.server.auth.access_token != before
    assert Patient.read("p-1", smart.server).id == "p-1"


@pytest.mark.requirement("DX-SMT-09")
def test_the_command_line_registers_lists_rotates_and_revokes(
    served: Served, command: Any, tmp_path: Path
) -> None:
    key = ECKey.generate_key("P-384", auto_kid=True)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    backend = command(
        "register", "Warehouse", "--scope", "system/*.rs", "--kind", "asymmetric",
        "--role", "ehr", "--jwks", str(keys), "--id", "warehouse",
    )  # fmt: skip
    assert backend["client_id"] == "warehouse" and "client_secret" not in backend
    command("register", "Chart", "--scope", "openid", "--redirect", CALLBACK, "--id", "chart",
            "--kind", "symmetric")  # fmt: skip
    names = [client["client_id"] for client in command("list")["clients"]]
    assert names == ["warehouse", "chart"]
    assert command("rotate", "chart")["client_secret"]
    other = ECKey.generate_key("P-384", auto_kid=True)
    keys.write_text(json.dumps({"keys": [other.as_dict(private=False)]}))
    assert command("rotate", "warehouse", "--jwks", str(keys))["client_id"] == "warehouse"
    assert command("rotate", "--signing-key")["kid"]
    assert command("revoke", "chart")["revoked"]
    assert [bool(c["revoked"]) for c in command("list")["clients"]] == [False, True]
    plain = CliRunner().invoke(client_commands.app, ["list", "--url", served.url])
    assert "warehouse" in plain.stdout and "revoked" in plain.stdout


KEYS = {"kind": "asymmetric", "role": "ehr", "redirect_uris": None, "scope": "system/Patient.rs"}


@pytest.mark.requirement("DX-SMT-08")
async def test_keys_by_address_are_fetched_and_fetched_anew(smart: Any) -> None:
    """A client publishes a key, then another; what cannot be had is refused."""
    published: dict[str, Any] = {"status": 200, "keys": []}
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        content = json.dumps({"keys": published["keys"]}).encode()
        head = f"HTTP/1.1 {published['status']} X\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        port = running.sockets[0].getsockname()[1]
        smart.gateway.outbound._addresses = parse("", f"http://127.0.0.1:{port}")
        first, second = (ECKey.generate_key("P-384", auto_kid=True) for _ in range(2))
        made = await smart.register(jwks_url=f"http://127.0.0.1:{port}/jwks", **KEYS)
        assert made.status_code == 201, made.text

        async def ask(key: Any) -> int:
            app = smart.make_app(made.json()["client_id"], key=key)
            answer = await smart.token(
                app, grant_type="client_credentials", scope="system/Patient.rs"
            )
            return int(answer.status_code)

        published["keys"] = [first.as_dict(private=False)]
        assert [await ask(first), await ask(first), len(asked)] == [200, 200, 1]
        published["keys"] = [second.as_dict(private=False)]
        assert await ask(second) == 401, "an unknown key is looked for again after a while"
        smart.later(21)
        assert [await ask(second), len(asked)] == [200, 2]
        assert await ask(first) == 401, "a key that was withdrawn signs nothing"
        published.update(status=500)
        smart.later(21)
        assert [await ask(first), await ask(second)] == [401, 200], "a failure forgets no key"
        before = len(asked)
        for status, keys in ((500, [second.as_dict(private=False)]), (302, []), (200, ["x"])):
            smart.later(301)
            published.update(status=status, keys=keys)
            assert await asyncio.gather(*(ask(second) for _ in range(3))) == [401] * 3
        assert len(asked) - before == 3, "an address that fails is not asked again at once"
