"""A gateway over SQLite in a folder, with fakes for its peers and the bus, for tests.

Loaded by the conftest of tests/gateway and of tests/browser.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_EN, PRIORITY_URGENT, CaseRef
from dxmesh.event.v1.report_composed_pb2 import ReportComposed
from gateway_fakes import FakeLetters, FakePeers, FakeQueues
from PIL import Image, ImageDraw
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway import app
from services.gateway.access import accounts
from services.gateway.call import Gateway
from services.gateway.commit import StoreCommitter
from services.gateway.critical.notifier import Notifier
from services.gateway.critical.policy import Policies, Policy
from services.gateway.dicomweb.archive import Archive
from services.gateway.export.worker import ExportWorker
from services.gateway.outbound import open_outbound
from services.gateway.settings import Settings
from services.gateway.store import migrations, open_store
from services.gateway.worker import GatewayWorker
from services.kernel import fhir, subjects
from services.kernel.database import open_engine
from services.kernel.testing import MemoryBus, memory_blobs

PASSWORD = "correct horse battery"
TOKENS = {name: f"token-of-{name}" for name in ("ehr", "operator", "auditor", "other")}


def scrypt(password: str) -> str:
    salt = b"0123456789abcdef"
    digest = hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1)
    return "$".join(
        ["scrypt", "16384", "8", "1", *(base64.b64encode(b).decode() for b in (salt, digest))]
    )


def accounts_text() -> str:
    rows = [
        f'[[clients]]\nid = "{name}-client"\ntenant = "{"south" if name == "other" else "north"}"\n'
        f'role = "{"ehr" if name == "other" else name}"\n'
        f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
        for name, token in TOKENS.items()
    ]
    rows += [
        f'[[users]]\nname = "{name}"\ntenant = "north"\nrole = "{role}"\n'
        f'display = "Dr {name} (fictional)"\npractitioner = "urn:test|{name}"\n'
        f'password = "{scrypt(PASSWORD)}"\n'
        for name, role in (("reader", "physician"), ("second", "physician"))
    ]
    return "\n".join(rows)


@dataclass
class World:
    """Everything a test touches."""

    gateway: Gateway
    peers: FakePeers
    bus: MemoryBus
    worker: GatewayWorker
    http: httpx.AsyncClient
    analysis: Any
    database: Path

    def bearer(self, name: str = "ehr") -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKENS[name]}"}

    async def get(self, path: str, name: str = "ehr", **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={**self.bearer(name), **headers})

    async def submit(self, bundle: dict[str, Any]) -> httpx.Response:
        headers = {**self.bearer(), "Content-Type": "application/fhir+json"}
        return await self.http.post("/fhir", content=orjson.dumps(bundle), headers=headers)

    async def sign_in(self, name: str = "reader", password: str = PASSWORD) -> httpx.Response:
        form = {"name": name, "password": password, "next": "/worklist"}
        return await self.http.post("/sign-in", data=form)


_MIGRATED: list[bytes] = []
"""The SQLite file that the migrations make: made once, since they take longer than most tests."""


async def _open_database(database: Path, url: str) -> AsyncEngine:
    if not url.endswith("aiosqlite"):
        engine = open_engine(url)
        await migrations.upgrade(engine)
        return engine
    if not _MIGRATED:
        engine = open_engine(f"{url}:///{database}")
        await migrations.upgrade(engine)
        await engine.dispose()
        _MIGRATED.append(await asyncio.to_thread(database.read_bytes))
    await asyncio.to_thread(database.write_bytes, _MIGRATED[0])
    return open_engine(f"{url}:///{database}")


@asynccontextmanager
async def open_world(folder: Path, url: str = "sqlite+aiosqlite") -> AsyncIterator[World]:
    """Yield a gateway; `url` may name a PostgreSQL database instead."""
    database = folder / "gateway.sqlite"
    engine = await _open_database(database, url)
    identity = memory_blobs("identity")
    vault = identity.vault
    store = open_store(engine, vault, 3600, 1800)
    known = accounts.parse(accounts_text())
    peers, bus, analysis = FakePeers(), MemoryBus(), memory_blobs()
    settings = Settings(
        nats_url="nats://unused",
        accounts_file=folder / "accounts.toml",
        bundle_bytes_max=1 << 20,
        upload_bytes_max=8 << 20,
    )
    gateway = Gateway(
        settings=settings,
        accounts=known,
        store=store,
        committer=StoreCommitter(
            store,
            peers,
            analysis,
            known,
            vault.hasher,
            render=lambda bundle: b"%PDF-1.7 test",
            identity_zone=identity,
        ),
        peers=peers,
        bus=bus,
        queues=FakeQueues(),
        letters=FakeLetters(),
        hasher_for=vault.hasher,
        outbound=open_outbound(settings),
        exports=ExportWorker(store, identity, settings.export_keep_s),
        archive=Archive(store.dicom, peers, analysis, identity),
        notifier=Notifier(store, peers, analysis, Policies(Policy(15, 3), {})),
    )
    worker = GatewayWorker(gateway)
    await worker.start(4)
    transport = httpx.ASGITransport(app=app.make(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield World(gateway, peers, bus, worker, http, analysis, database)
    await engine.dispose()


PATIENT = {
    "resourceType": "Patient",
    "id": "p-1",
    "identifier": [{"system": "urn:test:mrn", "value": "MRN-7431"}],
    "name": [{"text": "Zhang Fictional"}],
    "gender": "male",
    "birthDate": "1964-03-15",
}
ORDER = {
    "resourceType": "ServiceRequest",
    "id": "order-1",
    "status": "active",
    "intent": "order",
    "code": {"text": "CT Chest"},
    "subject": {"reference": "Patient/p-1"},
}
SAMPLES = Path(__file__).parents[1] / "reporting" / "data"
CASE_ID = "4b0dd02d-fd1f-44ba-9b8d-6f7a30a8d6a0"


def sample_report(language: str = "en") -> dict[str, Any]:
    """Return the Bundle that reporting's own tests hold its code to."""
    return dict(fhir.parse((SAMPLES / f"report_bundle_{language}.json").read_bytes()))


def case_ref(case_id: str = CASE_ID, language: int = LANGUAGE_EN) -> CaseRef:
    ref = CaseRef(tenant="north", case_id=case_id, priority=PRIORITY_URGENT, language=language)
    ref.received_time.GetCurrentTime()
    ref.due_time.FromSeconds(ref.received_time.seconds + 600)
    return ref


def png(size: int = 512) -> bytes:
    """Return a picture: a grey ring on black."""
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).ellipse((60, 90, 450, 430), fill=40, outline=150, width=6)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


async def compose(
    world: World,
    bundle: dict[str, Any],
    *,
    ref: CaseRef | None = None,
    version: int = 1,
    image: bytes = b"",
    publish: bool = True,
) -> ReportComposed:
    """Publish a composed report as reporting does, and return the event."""
    ref = ref or case_ref()
    world.peers.identity = ReidentifyResponse(
        patient_json=orjson.dumps(PATIENT),
        service_request_json=orjson.dumps(ORDER),
        days_to_true_date=11,
    )
    event = ReportComposed(case=ref, version=version)
    event.composed_time.GetCurrentTime()
    content = await world.analysis.put(
        ref.tenant, ref.case_id, f"report/{version}.json", fhir.dump(bundle)
    )
    event.bundle.CopyFrom(content)
    for entry in bundle["entry"]:
        media = entry["resource"]
        if media["resourceType"] == "Media":
            name = media["identifier"][0]["value"]
            blob = await world.analysis.put(ref.tenant, ref.case_id, name, image or png())
            event.images.append(blob)
    if publish:
        message_id = f"{ref.case_id}/composed/{version}"
        await world.bus.publish(subjects.REPORT_COMPOSED, event, message_id=message_id)
    return event
