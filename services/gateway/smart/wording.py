"""Scopes in the words of the consent page. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from services.gateway.access.rights import ANY
from services.gateway.access.scopes import ORDER, Scopes
from services.gateway.web.words import Words

ASKED = ("openid", "fhirUser", "profile", "offline_access", "online_access")
"""Flags a physician may refuse; the launch ones are about what was just chosen."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing a physician may allow or not."""

    scope: str
    text: str
    condition: str
    writes: bool


def lines(offered: Scopes, words: Words) -> list[Line]:
    """Return what the consent page asks, resources first."""
    found = []
    for scope in offered.resources:
        letters = [words(f"smart.letter.{one}") for one in ORDER if one in scope.letters]
        kind = words("smart.every") if scope.kind == ANY else words.either("smart.kind", scope.kind)
        text = words(
            f"smart.level.{scope.level}", what=kind, deeds=words("smart.joint").join(letters)
        )
        condition = ", ".join(f"{name} = {value}" for name, value in scope.criteria)
        found.append(Line(scope.text, text, condition, bool(scope.letters & set("cud"))))
    flags = [flag for flag in ASKED if flag in offered.flags]
    return found + [Line(flag, words(f"smart.flag.{flag}"), "", False) for flag in flags]


def chosen(offered: Scopes, ticked: Collection[str]) -> Scopes:
    """Return what was ticked of what was offered; nothing can be added to it."""
    resources = tuple(scope for scope in offered.resources if scope.text in ticked)
    flags = {flag for flag in offered.flags if flag not in ASKED or flag in ticked}
    return Scopes(resources, frozenset(flags))
