"""SMART scopes as text, and the rights they amount to. Pure.

`patient/Observation.rs?category=http://…|laboratory`: a level, a resource type or "*",
letters of "cruds" in that order, and search conditions. Scopes of SMART v1 are read as what
they mean in v2: `.read` is rs, `.write` is cud, `.*` is cruds.

- `patient/` means the patient in context: the Patient compartment;
- `user/` what the physician may do, never more than the account's role;
- `system/` what a backend service's role may do.

Source: SMART App Launch 2.2.0, Scopes and Launch Context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from services.gateway.access.rights import ANY, Permission, Rights
from services.gateway.fhir.search import query
from services.gateway.fhir.types import TYPES
from services.kernel.errors import InvalidInput

FLAGS = frozenset(
    {
        "openid", "fhirUser", "profile", "offline_access", "online_access",
        "launch", "launch/patient", "launch/encounter",
    }
)  # fmt: skip
"""Scopes that are not about resources."""
SCOPES_MAX, SCOPE_CHARS_MAX, CRITERIA_MAX = 100, 512, 8
LEVELS = ("patient", "user", "system")
ORDER = "cruds"
V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<kind>\*|[A-Z][A-Za-z]{1,63})\."
    r"(?:(?P<v1>read|write|\*)|(?P<v2>(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>.+))?)"
)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?::(?:exact|contains|text|not|in|missing))?")
_RESULTS = frozenset(
    {
        "_count", "_sort", "_include", "_revinclude", "_summary", "_elements", "_total",
        "_contained", "_containedType", "_format", "_has", "_filter", "_query", "_list",
    }
)  # fmt: skip
"""Parameters that say nothing about one resource alone, so they are no condition."""

SUPPORTING = (
    *(
        Permission(kind, frozenset("rs"))
        for kind in (
            "Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService",
            "Endpoint", "Medication", "Substance",
        )
    ),
    Permission("Device", frozenset("rs"), criteria=(("patient:missing", "true"),)),
)  # fmt: skip
"""What a `patient/` scope that names it, or "*", shows beyond the compartment: types that
belong to no patient, but are what a patient's resources refer to. A Device is one of them
while it is nobody's, such as a model."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope about resources."""

    text: str
    """As it was asked for."""
    level: str
    kind: str
    letters: frozenset[str]
    criteria: tuple[tuple[str, str], ...] = ()

    def permission(self) -> Permission:
        """Return what the scope allows, its level left aside."""
        return Permission(self.kind, self.letters, criteria=self.criteria)


@dataclass(frozen=True, slots=True)
class Scopes:
    """A `scope` parameter taken apart; what is not known is left out."""

    resources: tuple[Scope, ...]
    flags: frozenset[str]

    @property
    def text(self) -> str:
        """The scopes as a parameter, flags first."""
        return " ".join([*sorted(self.flags), *(scope.text for scope in self.resources)])

    def of(self, level: str) -> tuple[Scope, ...]:
        """Return the resource scopes of a level."""
        return tuple(scope for scope in self.resources if scope.level == level)


def parse(text: str) -> Scopes:
    """Return the scopes that are known; an unknown one grants nothing (RFC 6749, 3.3)."""
    words = list(dict.fromkeys(text.split()))[:SCOPES_MAX]
    found = [scope for word in words if (scope := parse_scope(word))]
    return Scopes(tuple(found), FLAGS & set(words))


def parse_scope(text: str) -> Scope | None:
    """Return a scope about resources, or None where it is not one that can be granted."""
    match = _SCOPE.fullmatch(text) if len(text) <= SCOPE_CHARS_MAX else None
    if not match or match["kind"] not in (ANY, *TYPES):
        return None
    criteria = _criteria(match["query"] or "")
    if criteria is None or (criteria and match["kind"] == ANY):
        return None
    if criteria and not _is_searchable(match["kind"], criteria):
        return None
    letters = V1[match["v1"]] if match["v1"] else match["v2"]
    return Scope(text, match["level"], match["kind"], frozenset(letters), criteria)


def _criteria(text: str) -> tuple[tuple[str, str], ...] | None:
    """Return the conditions in order, or None where one cannot be held against a resource."""
    if not text:
        return ()
    pairs = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        name, value = unquote(name), unquote(value)
        known = _PARAMETER.fullmatch(name) and name.partition(":")[0] not in _RESULTS
        if not equals or not value or not known:
            return None
        pairs.append((name, value))
    return tuple(pairs) if len(pairs) <= CRITERIA_MAX else None


def _is_searchable(kind: str, criteria: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether search knows every condition; one it does not would mean nothing."""
    try:
        return not query.parse(kind, criteria).unknown
    except InvalidInput:
        return False


def as_rights(scopes: Iterable[Scope]) -> Rights:
    """Return what scopes allow, their level left aside."""
    return Rights(tuple(scope.permission() for scope in scopes), restricted=True)


def cap(asked: Sequence[Scope], limit: Rights) -> tuple[Scope, ...]:
    """Return the scopes cut down to what `limit` allows; one that fits keeps its spelling."""
    kept: list[Scope] = []
    for scope in asked:
        own = Rights((scope.permission(),))
        within = own.within(limit).permissions
        if any(p == scope.permission() for p in within):
            kept.append(scope)
        else:
            kept += [_spelled(scope.level, permission) for permission in within]
    return tuple({scope.text: scope for scope in kept}.values())


def _spelled(level: str, permission: Permission) -> Scope:
    letters = "".join(letter for letter in ORDER if letter in permission.letters)
    conditions = "&".join(
        f"{name}={quote(value, safe='/:|,.-_')}" for name, value in permission.criteria
    )
    text = f"{level}/{permission.kind}.{letters}" + (f"?{conditions}" if conditions else "")
    return Scope(text, level, permission.kind, permission.letters, permission.criteria)


def rights(scopes: Iterable[Scope], role: Rights, patient: str) -> Rights:
    """Return what granted scopes allow an account of a role, with a patient in context or "".

    A `patient/` scope without a patient allows nothing.
    """
    wanted: list[Permission] = []
    for scope in scopes:
        asked = scope.permission()
        if scope.level != "patient":
            wanted.append(asked)
        elif patient:
            wanted.append(Permission(asked.kind, asked.letters, patient, asked.criteria))
            wanted += Rights((asked,)).within(Rights(SUPPORTING)).permissions
    return Rights(tuple(dict.fromkeys(wanted)), role.restricted).within(role)
