"""The `Prefer` header (RFC 7240) as FHIR uses it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

RETURNS = {name.lower(): name for name in ("minimal", "representation", "OperationOutcome")}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client would like; a preference that is not known is ignored, as RFC 7240 says."""

    returns: str = "representation"
    """minimal, representation or OperationOutcome."""
    handling: str = ""
    """strict or lenient; empty: not said."""
    respond_async: bool = False

    @property
    def lenient(self) -> bool:
        """Whether an unknown search parameter is a warning rather than an error."""
        return self.handling == "lenient"


def parse(header: str) -> Preferences:
    """Return the preferences in a header; of two with the same name the first counts."""
    found: dict[str, str] = {}
    for part in header.replace(";", ",").split(","):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    handling = found.get("handling", "").lower()
    return Preferences(
        RETURNS.get(found.get("return", "").lower(), "representation"),
        handling if handling in ("strict", "lenient") else "",
        "respond-async" in found,
    )
