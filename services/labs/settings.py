"""Settings of the labs service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """Labs settings, read from `DX_LABS_*`."""

    critical_limits_dir: Path | None = None
    """Folder with `<tenant>.tsv`, each replacing rows of the default critical limits."""

    rule_thresholds_dir: Path | None = None
    """Folder with `<tenant>.toml`, each replacing thresholds of rules by topic and name."""

    concurrency: int = 4
    """Parts interpreted at once."""
