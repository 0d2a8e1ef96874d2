"""What a mention says besides its own name: a note of unstable angina is one of angina too."""

from __future__ import annotations

from collections.abc import Iterator

from services.reporting import tables

_BROADER = {row["specific"]: row["broader"] for row in tables.rows("broader")}
_PASSED_ON = ("note", "history", "family", "possible")
"""Not denied: who has no unstable angina may have a stable one."""


def keys(key: str) -> Iterator[str]:
    """Yield the key of a fact, `note:Unstable angina`, and those of the broader problems."""
    kind, _, name = key.partition(":")
    told = {name}
    yield key
    while kind in _PASSED_ON and (name := _BROADER.get(name, "")) and name not in told:
        told.add(name)
        yield f"{kind}:{name}"
