"""What a case was made of where that was no FHIR: evidence that lives as long as its case.

The bytes lie under a key scope of their own, as the intake's is destroyed when a case is
de-identified. Until the case is accepted that scope is in the table of scopes, so that what no
case takes is swept; then the row here is all that names it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.store.tables import ORIGINALS, SCOPES
from services.kernel.crypto import FieldCipher


@dataclass(frozen=True, slots=True)
class Original:
    """What arrived, byte for byte."""

    blob: BlobRef
    media_type: str
    sha256: str


async def keep(
    connection: AsyncConnection, case: CaseRef, original: Original, cipher: FieldCipher
) -> bool:
    """Give an original to its case; False when the sweep has taken it in the meantime."""
    scope = SCOPES.c.tenant == case.tenant, SCOPES.c.scope == original.blob.scope
    unclaimed = SCOPES.c.is_open, SCOPES.c.case_id == ""
    if not (await connection.execute(delete(SCOPES).where(*scope, *unclaimed))).rowcount:
        return False
    said = {
        "blob": original.blob.SerializeToString(deterministic=True).hex(),
        "media_type": original.media_type,
        "sha256": original.sha256,
    }
    context = _context(case.tenant, case.case_id)
    row = {
        "tenant": case.tenant,
        "case_id": case.case_id,
        "sealed": cipher.encrypt(json.dumps(said).encode(), context),
    }
    await connection.execute(insert(ORIGINALS).values(row))
    return True


class OriginalStore:
    """The table of originals."""

    def __init__(
        self, engine: AsyncEngine, cipher_for: Callable[[str], Awaitable[FieldCipher]]
    ) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def of_case(self, tenant: str, case_id: str) -> Original | None:
        """Return what a case was made of; None: of a Bundle, or it is destroyed."""
        query = select(ORIGINALS.c.sealed).where(
            ORIGINALS.c.tenant == tenant, ORIGINALS.c.case_id == case_id
        )
        async with self._engine.connect() as connection:
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            return None
        cipher = await self._cipher_for(tenant)
        said = json.loads(cipher.decrypt(sealed, _context(tenant, case_id)))
        blob = BlobRef.FromString(bytes.fromhex(said["blob"]))
        return Original(blob, said["media_type"], said["sha256"])

    async def forget(self, tenant: str, case_id: str) -> None:
        """Delete the row of an original whose key is destroyed."""
        where = ORIGINALS.c.tenant == tenant, ORIGINALS.c.case_id == case_id
        async with self._engine.begin() as connection:
            await connection.execute(delete(ORIGINALS).where(*where))


def _context(tenant: str, case_id: str) -> str:
    return f"ingest_originals/{tenant}/{case_id}"
