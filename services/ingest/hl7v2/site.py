"""What holds for one sender beyond what its messages say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A sender's own ways; every part has a value that fits an unknown one."""

    charset: str = ""
    """What it sends where MSH-18 is empty, as MSH-18 would name it."""
    utc_offset: str = "+08:00"
    """Zone of its times that state none, ±HH:MM."""
    language: str = ""
    """Language of the report, zh or en; empty: the mesh's."""
    processing: frozenset[str] = frozenset("PTD")
    """Processing ids (MSH-11) that are taken: P production, T training, D debugging."""
    identifier_system: str = ""
    """System of a patient's identifiers whose assigning authority is not named."""
    authorities: Mapping[str, str] = field(default_factory=dict)
    """Assigning authority (its namespace or its universal id) → system of the identifier."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Name of a coding system, such as L → its URI."""
