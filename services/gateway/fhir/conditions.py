"""Conditional headers: `If-Match`, `If-None-Match`, `If-Modified-Since`. Pure.

Source: R4 http, 3.1.0.1.3 (conditional read), 3.1.0.5 (update), RFC 9110 section 13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from services.gateway.fhir.outcome import PreconditionFailed
from services.kernel.errors import InvalidInput, Violation

_TAG = re.compile(r'\s*(?:W/)?"([^"]{0,64})"\s*')
_BARE = re.compile(r"\s*([0-9]{1,9})\s*")
"""A version alone, as fhirpy sends it; taken where nothing but a 304 comes of it."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions an entity-tag header names; `any` is "*"."""

    any: bool = False
    named: frozenset[str] = frozenset()

    def fit(self, version: int) -> bool:
        """Tell whether a current version is one of them; 0 is a resource that is not there."""
        return version > 0 and (self.any or str(version) in self.named)


def versions(header: str, name: str) -> Versions | None:
    """Return what an `If-Match` or `If-None-Match` header names; None when it is empty.

    Raises
    ------
    InvalidInput
        Neither "*" nor entity tags such as W/"3".
    """
    if not header.strip():
        return None
    if header.strip() == "*":
        return Versions(any=True)
    found: set[str] = set()
    for part in header.split(","):
        bare = _BARE.fullmatch(part) if name == "If-None-Match" else None
        if not (match := _TAG.fullmatch(part) or bare):
            problem = Violation(f"http.{name}", 'entity tags such as W/"3", or *')
            raise InvalidInput(f"{name} cannot be read", [problem], reason="BAD_REQUEST")
        found.add(match[1])
    return Versions(named=frozenset(found))


def require(headers: Mapping[str, str], version: int) -> None:
    """Let a change pass whose conditions the current version meets; 0: there is none.

    Raises
    ------
    PreconditionFailed
        The version is not the one in `If-Match`, or is there although `If-None-Match` forbids.
    """
    wanted = versions(headers.get("if-match", ""), "If-Match")
    if wanted and not wanted.fit(version):
        raise PreconditionFailed(
            "the resource is not at the version in If-Match; read it again",
            reason="VERSION_CONFLICT",
        )
    unwanted = versions(headers.get("if-none-match", ""), "If-None-Match")
    if unwanted and unwanted.fit(version):
        raise PreconditionFailed("the resource is there already", reason="ALREADY_THERE")


def unchanged(headers: Mapping[str, str], version: int, updated_us: int) -> bool:
    """Tell whether a read may answer 304.

    `If-Modified-Since` counts only without `If-None-Match` (RFC 9110, 13.2.2), to the second;
    one that is not a date is ignored (RFC 9110, 13.1.3).
    """
    if seen := versions(headers.get("if-none-match", ""), "If-None-Match"):
        return seen.fit(version)
    if not (text := headers.get("if-modified-since", "")):
        return False
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return False
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return updated_us // 1_000_000 <= moment.timestamp()
