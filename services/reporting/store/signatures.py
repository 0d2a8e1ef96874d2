"""Signatures: one stands under a version, written with the events that announce it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.reporting.store import outbox
from services.reporting.store.outbox import Outgoing
from services.reporting.store.rows import microseconds, of_case
from services.reporting.store.tables import VERSIONS


class SignatureStore:
    """Signing a version: once, or in place of the signature that is amended."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def sign(
        self,
        tenant: str,
        case_id: str,
        version: int,
        *,
        signer: str,
        request_id: str,
        signed: datetime,
        amends: datetime | None,
        amendment: bool,
        announcements: Sequence[Outgoing],
    ) -> bool:
        """Lock a version under a signature; False when it carries another than it amends."""
        before = microseconds(amends) if amends else 0
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                update(VERSIONS)
                .where(
                    *of_case(VERSIONS, tenant, case_id),
                    VERSIONS.c.version == version,
                    VERSIONS.c.done.is_(True),
                    VERSIONS.c.signed_us == before,
                )
                .values(
                    signed_us=microseconds(signed),
                    signer=signer,
                    request_id=request_id,
                    amendment=amendment,
                )
            )
            if not changed.rowcount:
                return False
            for announcement in announcements:
                await outbox.write(connection, tenant, case_id, announcement)
        return True

    async def signer(self, tenant: str, case_id: str, version: int) -> str:
        """Return the pseudonym of who signed a version; empty when nobody did."""
        query = select(VERSIONS.c.signer).where(
            *of_case(VERSIONS, tenant, case_id), VERSIONS.c.version == version
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none() or ""
