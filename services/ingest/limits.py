"""Limits and defaults as the pure modules need them; `settings` fills them in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a ZIP archive may hold."""

    entries: int = 5000
    """Number of entries, folders included."""
    entry_bytes: int = 2 << 30
    """Bytes of one entry, unpacked."""
    total_bytes: int = 16 << 30
    """Bytes of all entries, unpacked."""
    ratio: float = 200.0
    """Bytes unpacked per byte packed, of an entry and of the archive."""
    ratio_free_bytes: int = 32 << 20
    """Up to here any ratio is taken: a black image packs a thousandfold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where a submission says nothing."""

    recipient: str
    """Who the consent must allow, system|value."""
    language: str = "en"
    """zh or en."""
    due_s: float = 3600.0
    """From acceptance to the due time."""
    due_s_max: float = 7 * 86_400.0
    """Furthest due time that can be stated."""
    due_s_min: float = 60.0
    """Nearest due time: analysis needs a minute to say anything."""
    entries_max: int = 5000
    """Entries of a Bundle."""
    late_s: float = 7 * 86_400.0
    """Seconds after a submission in which images of its studies still belong to it."""
    quiet_s: float = 0.0
    """Seconds without a new instance after which an incomplete study is read as it is."""
