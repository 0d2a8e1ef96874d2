"""Everything ingest keeps, opened at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.store.cases import CaseStore
from services.ingest.store.intake import Intake
from services.ingest.store.late import LateStore
from services.ingest.store.originals import OriginalStore
from services.ingest.store.uploads import UploadStore
from services.ingest.store.waiting import WaitingStore
from services.kernel.blobs import Blobs


@dataclass(frozen=True, slots=True)
class Stores:
    """Content in the identity zone, rows in one database."""

    intake: Intake
    cases: CaseStore
    waiting: WaitingStore
    late: LateStore
    originals: OriginalStore

    @classmethod
    def over(cls, engine: AsyncEngine, zone: Blobs, now: Callable[[], datetime]) -> Stores:
        """Return the stores over a database and the identity zone."""
        cipher_for = zone.vault.cipher
        return cls(
            Intake(zone, UploadStore(engine), now),
            CaseStore(engine, cipher_for),
            WaitingStore(engine, cipher_for),
            LateStore(engine, cipher_for),
            OriginalStore(engine, cipher_for),
        )
