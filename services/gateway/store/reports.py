"""Composed reports, the reviews under them, and drafts of reviews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Database, Row, insert_absent, upsert
from services.gateway.store.tables import COMPOSED, DRAFTS, REVIEWS
from services.kernel import fhir
from services.kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Review:
    """What a physician said of one version of a report."""

    request_id: str
    version: int
    signer: str
    """Pseudonym of the account."""
    signed_us: int
    """0 until the signature is confirmed."""
    content: dict[str, Any]
    """verdicts, comment, display, practitioner, confirmed_us."""


class Reports:
    """Composed versions and reviews, sealed under the tenant's key."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add_composed(
        self,
        connection: AsyncConnection,
        tenant: str,
        case_id: str,
        version: int,
        bundle: dict[str, Any],
    ) -> None:
        """Keep a composed version with identity restored; a repeat changes nothing."""
        row: Row = {"tenant": tenant, "case_id": case_id, "version": version}
        row["composed_us"] = self._db.now_us()
        cipher = await self._db.cipher_for(tenant)
        row["sealed"] = cipher.encrypt(
            fhir.dump(bundle), _context(COMPOSED.name, tenant, case_id, version)
        )
        await insert_absent(connection, COMPOSED, [row])

    async def composed(self, tenant: str, case_id: str, version: int) -> dict[str, Any]:
        """Return the Bundle of a composed version.

        Raises
        ------
        NotFound
        """
        query = select(COMPOSED.c.sealed).where(
            COMPOSED.c.tenant == tenant,
            COMPOSED.c.case_id == case_id,
            COMPOSED.c.version == version,
        )
        async with self._db.read() as connection:
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            raise NotFound("there is no such version of the report")
        cipher = await self._db.cipher_for(tenant)
        plain = cipher.decrypt(sealed, _context(COMPOSED.name, tenant, case_id, version))
        return dict(fhir.parse(plain))

    async def has_composed(
        self, connection: AsyncConnection, tenant: str, case_id: str, version: int
    ) -> bool:
        """Tell whether a composed version is kept, within a transaction."""
        query = select(COMPOSED.c.version).where(
            COMPOSED.c.tenant == tenant,
            COMPOSED.c.case_id == case_id,
            COMPOSED.c.version == version,
        )
        return (await connection.execute(query)).first() is not None

    async def save_draft(
        self, tenant: str, case_id: str, reviewer: str, version: int, content: dict[str, Any]
    ) -> int:
        """Keep a reviewer's unsigned review; returns when, µs."""
        cipher = await self._db.cipher_for(tenant)
        now = self._db.now_us()
        context = _context(DRAFTS.name, tenant, case_id, reviewer)
        row = {
            "tenant": tenant,
            "case_id": case_id,
            "reviewer": reviewer,
            "version": version,
            "updated_us": now,
            "sealed": cipher.encrypt(fhir.dump(content), context),
        }
        async with self._db.begin() as connection:
            await upsert(connection, DRAFTS, row)
        return now

    async def draft(self, tenant: str, case_id: str, reviewer: str) -> dict[str, Any]:
        """Return a reviewer's unsigned review; empty when there is none."""
        query = select(DRAFTS.c.sealed).where(*_draft(tenant, case_id, reviewer))
        async with self._db.read() as connection:
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            return {}
        cipher = await self._db.cipher_for(tenant)
        context = _context(DRAFTS.name, tenant, case_id, reviewer)
        return dict(fhir.parse(cipher.decrypt(sealed, context)))

    async def drop_draft(self, tenant: str, case_id: str, reviewer: str) -> None:
        """Forget a draft: it was signed."""
        async with self._db.begin() as connection:
            await connection.execute(delete(DRAFTS).where(*_draft(tenant, case_id, reviewer)))

    async def add_review(self, tenant: str, case_id: str, review: Review) -> None:
        """Keep a review before its signature is asked for; a repeat changes nothing."""
        cipher = await self._db.cipher_for(tenant)
        context = _context(REVIEWS.name, tenant, case_id, review.request_id)
        row: Row = {
            "tenant": tenant,
            "case_id": case_id,
            "request_id": review.request_id,
            "version": review.version,
            "signer": review.signer,
            "created_us": self._db.now_us(),
            "signed_us": review.signed_us,
            "sealed": cipher.encrypt(fhir.dump(review.content), context),
        }
        async with self._db.begin() as connection:
            await insert_absent(connection, REVIEWS, [row])

    async def reviews(self, tenant: str, case_id: str) -> list[Review]:
        """Return the reviews of a case, newest first."""
        query = (
            select(REVIEWS)
            .where(REVIEWS.c.tenant == tenant, REVIEWS.c.case_id == case_id)
            .order_by(REVIEWS.c.created_us.desc())
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        cipher = await self._db.cipher_for(tenant)
        found: list[Review] = []
        for row in rows:
            context = _context(REVIEWS.name, tenant, case_id, row["request_id"])
            content = fhir.parse(cipher.decrypt(row["sealed"], context))
            plain = (row["request_id"], row["version"], row["signer"], row["signed_us"])
            found.append(Review(*plain, content))
        return found

    async def mark_signed(
        self,
        connection: AsyncConnection,
        tenant: str,
        case_id: str,
        request_id: str,
        signed_us: int,
    ) -> None:
        """Note that a review's signature is confirmed."""
        await connection.execute(
            update(REVIEWS)
            .where(
                REVIEWS.c.tenant == tenant,
                REVIEWS.c.case_id == case_id,
                REVIEWS.c.request_id == request_id,
            )
            .values(signed_us=signed_us)
        )


def _draft(tenant: str, case_id: str, reviewer: str) -> tuple[Any, ...]:
    return (
        DRAFTS.c.tenant == tenant,
        DRAFTS.c.case_id == case_id,
        DRAFTS.c.reviewer == reviewer,
    )


def _context(table: str, tenant: str, case_id: str, rest: object) -> str:
    return f"{table}/{tenant}/{case_id}/{rest}"
