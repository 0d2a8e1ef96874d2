"""Settings of the nlp service."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """NLP settings, read from `DX_NLP_*`."""

    concurrency: int = 2
    """Parts read at once."""
