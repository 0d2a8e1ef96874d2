"""Consents and decisions in the service's own database.

The Consent resource is encrypted under the tenant's key; keys, numbers and times are not.
A version is never changed: a withdrawal is a further version. What must still be announced
on the bus is marked in the same transaction, so a crash cannot lose a withdrawal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.consent.policy import ConsentVersion, Decision
from services.consent.provisions import Question, Resource
from services.kernel import fhir
from services.kernel.crypto import FieldCipher
from services.kernel.errors import Unavailable

metadata = MetaData()
VERSIONS = Table(
    "consent_versions",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("subject_key", String(128), primary_key=True),
    Column("consent_key", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content_hash", String(64), nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("ends_all", Boolean, nullable=False),
    Column("to_announce", Boolean, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("tenant", "subject_key", "consent_key", "content_hash"),
)
DECISIONS = Table(
    "consent_decisions",
    metadata,
    Column("decision_id", String(36), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("subject_key", String(128), nullable=False),
    Column("case_id", String(64), nullable=False, index=True),
    Column("step", String(32), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("recipient", String(256), nullable=False),
    Column("permitted", Boolean, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("consent_version", String(96), nullable=False),
    Column("decided_us", BigInteger, nullable=False),
    Index("consent_decisions_by_subject", "tenant", "subject_key", "decided_us"),
)

TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CipherFor = Callable[[str], Awaitable[FieldCipher]]
"""Returns a tenant's cipher for database fields."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A version about to be recorded; the store gives it its number."""

    key: str
    content_hash: str
    """Keyed hash of the content; the same content is recorded once."""
    recorded_at: datetime
    resource: Resource
    ends_all: bool
    to_announce: bool


@dataclass(frozen=True, slots=True)
class Unannounced:
    """A withdrawal that the bus has not confirmed yet."""

    tenant: str
    subject_key: str
    consent_key: str
    number: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it was recorded."""

    decision_id: str
    case_id: str
    step: str
    purpose: str
    decision: Decision
    decided_at: datetime


class ConsentStore:
    """The tables above, behind what the service needs of them."""

    def __init__(self, engine: AsyncEngine, cipher_for: CipherFor) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def versions(self, tenant: str, subject_key: str) -> list[ConsentVersion]:
        """Return every version of every consent of a subject, in the order of recording."""
        query = (
            select(VERSIONS)
            .where(VERSIONS.c.tenant == tenant, VERSIONS.c.subject_key == subject_key)
            .order_by(VERSIONS.c.recorded_us, VERSIONS.c.number)
        )
        cipher = await self._cipher_for(tenant)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            ConsentVersion(
                key=row["consent_key"],
                number=row["number"],
                recorded_at=_instant(row["recorded_us"]),
                resource=fhir.parse(cipher.decrypt(row["sealed"], _context(row))),
                ends_all=row["ends_all"],
            )
            for row in rows
        ]

    async def find(self, tenant: str, subject_key: str, draft: Draft) -> str | None:
        """Return the version that already holds the draft's content."""
        query = select(VERSIONS.c.number).where(
            VERSIONS.c.tenant == tenant,
            VERSIONS.c.subject_key == subject_key,
            VERSIONS.c.consent_key == draft.key,
            VERSIONS.c.content_hash == draft.content_hash,
        )
        async with self._engine.connect() as connection:
            number = (await connection.execute(query)).scalar_one_or_none()
        return None if number is None else f"{draft.key}/{number}"

    async def add(self, tenant: str, subject_key: str, drafts: list[Draft]) -> list[str]:
        """Record drafts in one transaction; return their versions.

        Raises
        ------
        Unavailable
            Another replica recorded versions of the same consents at the same time, again
            and again.
        """
        cipher = await self._cipher_for(tenant)
        for _ in range(TRIES):
            try:
                return await self._add(tenant, subject_key, drafts, cipher)
            except IntegrityError:
                continue  # a version of that number, or that content, is there by now
        raise Unavailable("consents of one subject are recorded too often at once")

    async def _add(
        self, tenant: str, subject_key: str, drafts: list[Draft], cipher: FieldCipher
    ) -> list[str]:
        versions: list[str] = []
        async with self._engine.begin() as connection:
            for draft in drafts:
                last = select(func.max(VERSIONS.c.number)).where(
                    VERSIONS.c.tenant == tenant,
                    VERSIONS.c.subject_key == subject_key,
                    VERSIONS.c.consent_key == draft.key,
                )
                number = ((await connection.execute(last)).scalar_one() or 0) + 1
                row: dict[str, Any] = {
                    "tenant": tenant,
                    "subject_key": subject_key,
                    "consent_key": draft.key,
                    "number": number,
                    "content_hash": draft.content_hash,
                    "recorded_us": _microseconds(draft.recorded_at),
                    "ends_all": draft.ends_all,
                    "to_announce": draft.to_announce,
                }
                row["sealed"] = cipher.encrypt(fhir.dump(draft.resource), _context(row))
                await connection.execute(insert(VERSIONS).values(row))
                versions.append(f"{draft.key}/{number}")
        return versions

    async def unannounced(self, limit: int = 100) -> list[Unannounced]:
        """Return withdrawals to announce, oldest first."""
        query = (
            select(VERSIONS)
            .where(VERSIONS.c.to_announce)
            .order_by(VERSIONS.c.recorded_us)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            Unannounced(
                row["tenant"],
                row["subject_key"],
                row["consent_key"],
                row["number"],
                _instant(row["recorded_us"]),
            )
            for row in rows
        ]

    async def announced(self, withdrawal: Unannounced) -> None:
        """Note that the bus has it; safe to repeat."""
        change = (
            update(VERSIONS)
            .where(
                VERSIONS.c.tenant == withdrawal.tenant,
                VERSIONS.c.subject_key == withdrawal.subject_key,
                VERSIONS.c.consent_key == withdrawal.consent_key,
                VERSIONS.c.number == withdrawal.number,
            )
            .values(to_announce=False)
        )
        async with self._engine.begin() as connection:
            await connection.execute(change)

    async def record_decision(
        self, tenant: str, subject_key: str, question: Question, recorded: Recorded
    ) -> None:
        """Keep a decision."""
        row = {
            "decision_id": recorded.decision_id,
            "tenant": tenant,
            "subject_key": subject_key,
            "case_id": recorded.case_id,
            "step": recorded.step,
            "purpose": question.purpose,
            "recipient": question.recipient,
            "permitted": recorded.decision.permitted,
            "reason": recorded.decision.reason,
            "consent_version": recorded.decision.version,
            "decided_us": _microseconds(recorded.decided_at),
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(DECISIONS).values(row))

    async def decisions(
        self, tenant: str, subject_key: str, case_id: str, limit: int
    ) -> list[Recorded]:
        """Return decisions, newest first; an empty `subject_key` or `case_id` selects all."""
        query = select(DECISIONS).where(DECISIONS.c.tenant == tenant)
        if subject_key:
            query = query.where(DECISIONS.c.subject_key == subject_key)
        if case_id:
            query = query.where(DECISIONS.c.case_id == case_id)
        query = query.order_by(DECISIONS.c.decided_us.desc(), DECISIONS.c.decision_id).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            Recorded(
                row["decision_id"],
                row["case_id"],
                row["step"],
                row["purpose"],
                Decision(row["permitted"], row["reason"], row["consent_version"]),
                _instant(row["decided_us"]),
            )
            for row in rows
        ]


def _context(row: Any) -> str:
    """Return where a sealed resource stands; it does not decrypt anywhere else."""
    return (
        "/".join(
            ("consent_versions", *(str(row[k]) for k in ("tenant", "subject_key", "consent_key")))
        )
        + f"/{row['number']}"
    )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
