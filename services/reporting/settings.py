"""Settings of the reporting service."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """Reporting settings, read from `DX_REPORTING_*`."""

    database_url: str = "sqlite+aiosqlite:///reporting.sqlite"
    """The service's database: sqlite+aiosqlite:///path or postgresql+asyncpg://…"""

    tick_s: float = 1.0
    """Seconds between looks for cases whose due time has come and for unsent events."""

    due_s: float = 3600.0
    """Seconds a case without a due time waits for its parts, from its acceptance."""

    concurrency: int = 8
    """Events of one topic handled at once."""
