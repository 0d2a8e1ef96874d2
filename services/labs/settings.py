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

    mappings_dir: Path | None = None
    """Folder with `<tenant>.tsv`: its own codes and names of analytes."""

    ranges_dir: Path | None = None
    """Folder with `<tenant>.tsv`: reference ranges that go before the built-in ones."""

    concurrency: int = 4
    """Parts interpreted at once."""

    history_per_analyte: int = 40
    """Newest results of each analyte that are kept of a patient for later cases, besides one for
    each four weeks of older ones; 0: none."""

    history_days: int = 730
    """Days after its case was received that a result is kept for later cases."""

    history_sweep_s: float = 21_600.0
    """Seconds between looks for results that are past their age, of every patient."""
