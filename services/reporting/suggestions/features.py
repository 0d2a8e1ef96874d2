"""The small language of features: `note:Fever`, `lab:k > 6`, `a & b | c`; no `eval`.

A feature is one or more alternatives (`|`) of atoms that hold together (`&`). An atom is a key
`kind:name`, and behind it a state (`high`) or a comparison (`>= 2`). `@group` stands for any
member of a group of `groups.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from services.reporting.suggestions.model import Atom, Fact, Feature

KINDS = frozenset(
    ("note", "denied", "possible", "history", "family", "med", "lab", "vital", "score", "risk")
) | {"image", "person", "remark"}
STATES = frozenset(("low", "high", "normal", "critical", "abnormal", "positive", "negative"))
NUMBERS = frozenset(("lab", "vital", "score", "person"))
"""Kinds whose facts have a number."""
_ATOM = re.compile(
    r"(?P<kind>[a-z]+):(?P<name>[^<>=|&]+?)"
    r"(?:\s*(?P<operator><=|>=|<|>|=)\s*(?P<limit>-?[0-9.]+))?"
    r"(?:\s+(?P<state>low|high|normal|critical|abnormal|positive|negative))?\s*"
)
Groups = Mapping[str, Sequence[str]]


class BadFeature(ValueError):
    """A feature that cannot be read; says why."""


def feature(text: str, groups: Groups, zh: str = "", en: str = "") -> Feature:
    """Return a feature.

    Raises
    ------
    BadFeature
    """
    either = tuple(
        tuple(_atom(part, groups) for part in alternative.split("&"))
        for alternative in text.split("|")
    )
    return Feature(text, either, zh, en)


def _atom(text: str, groups: Groups) -> Atom:
    match = _ATOM.fullmatch(text.strip())
    if match is None or match["kind"] not in KINDS:
        raise BadFeature(f"“{text.strip()}” is no feature")
    kind, name, state = match["kind"], match["name"], match["state"] or ""
    operator = match["operator"] or ""
    if operator and kind not in NUMBERS:
        raise BadFeature(f"“{text.strip()}”: {kind} has no number")
    if operator == "=":
        raise BadFeature(f"“{text.strip()}”: write <= or >=")
    if kind in ("lab", "vital", "score") and not (operator or state):
        raise BadFeature(f"“{text.strip()}”: a number needs a limit or a state")
    if state and kind != "lab":
        raise BadFeature(f"“{text.strip()}”: only a result is {state}")
    names = groups.get(name[1:], ()) if name.startswith("@") else (name,)
    if not names:
        raise BadFeature(f"“{text.strip()}”: there is no such group")
    limit = float(match["limit"]) if operator else 0.0
    return Atom(tuple(f"{kind}:{each}" for each in names), state, operator, limit)


def fact(text: str) -> Fact:
    """Return the fact of an example: `note:Fever`, `lab:k = 6.8 high`, `person:age = 70`.

    Raises
    ------
    BadFeature
    """
    match = _ATOM.fullmatch(text.strip())
    if match is None or match["kind"] not in KINDS or match["operator"] not in (None, "="):
        raise BadFeature(f"“{text.strip()}” is no example of a fact")
    number = float(match["limit"]) if match["operator"] else None
    said = frozenset({match["state"]} if match["state"] else ())
    key = f"{match['kind']}:{match['name']}"
    shown = text.split(":", 1)[1].strip()
    results = frozenset((key,) if match["kind"] == "lab" else ())
    return Fact(key, shown, shown, number, said, (f"example-{text}",), results=results)
