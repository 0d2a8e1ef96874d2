"""Settings of the consent service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from services.kernel.settings import BadSettings, IdentitySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(IdentitySettings):
    """Consent settings, read from `DX_CONSENT_*`."""

    database_url: str = "sqlite+aiosqlite:///consent.db"
    """Its own database: sqlite+aiosqlite:///path or postgresql+asyncpg://user@host/name."""

    utc_offset: str = "+00:00"
    """Where a consent's dates without a clock time were written, ±hh:mm from UTC."""

    announce_s: float = 5.0
    """Seconds between attempts to announce withdrawals that the bus has not confirmed."""

    @property
    def zone(self) -> tzinfo:
        """The offset as a time zone; raises BadSettings when it is not ±hh:mm."""
        try:
            return datetime.strptime(self.utc_offset, "%z").tzinfo or UTC
        except ValueError as error:
            raise BadSettings("DX_CONSENT_UTC_OFFSET is not ±hh:mm") from error
