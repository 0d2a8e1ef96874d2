"""Settings of the anonymization service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.settings import IdentitySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(IdentitySettings):
    """Anonymization settings, read from `DX_ANONYMIZATION_*`."""

    database_url: str = "sqlite+aiosqlite:///anonymization.db"
    """Its own database: sqlite+aiosqlite:///path or postgresql+asyncpg://user@host/name."""

    consent_address: str = "127.0.0.1:50055"
    """gRPC address of the consent service, host:port."""

    consent_timeout_s: float = 10.0
    """Deadline of one consent check."""

    concurrency: int = 2
    """Cases de-identified at once."""

    code_mappings_dir: Path | None = None
    """Folder with `<tenant>.tsv`, as the labs service has it: local codes listed there may stay."""
