"""The routing table: rules out of TOML, a tenant's file laid over the default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.imaging.routing.known import FLAGS, NAMES, NUMBERS, Known
from services.imaging.routing.quality import CHECKS
from services.kernel.errors import MeshError

RULE_KEYS = frozenset(("reader", "enabled", "takes", "needs", "quality", "options"))
CONDITION_KEYS = frozenset(
    ("any_of", "none_of", "min", "max", "matches", "not_matches", "unknown", "reason", "message")
)
READINGS = ("nodules", "haemorrhage", "fractures", "pathology")
PASS, REFUSE = "pass", "refuse"


class BadRouting(MeshError):
    """A routing table cannot be used; the message names the rule and the key."""

    grpc_status = "FAILED_PRECONDITION"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What one fact must be."""

    fact: str
    any_of: tuple[str | bool, ...] = ()
    none_of: tuple[str | bool, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    matches: re.Pattern[str] | None = None
    not_matches: re.Pattern[str] | None = None
    unknown: str = PASS
    """What is said when the fact is not known: "pass" or "refuse"."""

    reason: str = ""
    message: str = ""

    def holds(self, value: Known) -> bool:
        """Tell whether a fact is as it must be."""
        if value is None:
            return self.unknown == PASS
        if isinstance(value, float):
            low = self.minimum is None or value >= self.minimum
            return low and (self.maximum is None or value <= self.maximum)
        said = value if isinstance(value, tuple) else (value,)
        if self.any_of and not set(said) & set(self.any_of):
            return False
        if set(said) & set(self.none_of):
            return False
        text = " ".join(str(part) for part in said)
        if self.matches and not self.matches.search(text):
            return False
        return not (self.not_matches and self.not_matches.search(text))

    def wanted(self) -> dict[str, str]:
        """Return what would have held, for the reason of a "no"."""
        found: dict[str, str] = {}
        if self.minimum is not None:
            found["min"] = f"{self.minimum:g}"
        if self.maximum is not None:
            found["max"] = f"{self.maximum:g}"
        if self.any_of:
            found["wanted"] = ", ".join(str(value) for value in self.any_of)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which series one reader takes."""

    name: str
    reader: str
    enabled: bool = True
    takes: tuple[Condition, ...] = ()
    """The kind of image: where one does not hold, the series is simply another kind."""

    needs: tuple[Condition, ...] = ()
    """What an image of that kind must be, to be read well."""

    quality: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Checks of the pixels, by name, with their limits."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """What the reader is given: operating point, window of its key images, limits."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules, in the order they are tried."""

    rules: tuple[Rule, ...]

    def of(self, reader: str) -> tuple[Rule, ...]:
        """Return the rules of one reader."""
        return tuple(rule for rule in self.rules if rule.reader == reader)


def read(default: str, tenant: str = "", readers: Sequence[str] = READINGS) -> RuleBook:
    """Return the rules of the default table with a tenant's laid over it, key by key.

    Raises
    ------
    BadRouting
        No TOML, or a key, fact, check or reader that nobody knows.
    """
    table = _laid_over(_table(default), _table(tenant))
    if unknown := set(table) - {"rules"}:
        raise BadRouting(f"a routing table has no {sorted(unknown)[0]}; it has [rules.<name>]")
    rules = tuple(_rule(name, spec) for name, spec in table.get("rules", {}).items())
    for rule in rules:
        if rule.reader not in readers:
            raise BadRouting(f"rule {rule.name}: there is no reader {rule.reader}")
    return RuleBook(rules)


def _table(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRouting(f"a routing table is no TOML: {error}") from error


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = _laid_over(under, value) if both and under is not None else value
    return merged


def _rule(name: str, spec: object) -> Rule:
    if not isinstance(spec, dict) or not isinstance(spec.get("reader"), str):
        raise BadRouting(f"rule {name} does not name its reader")
    if unknown := set(spec) - RULE_KEYS:
        raise BadRouting(f"rule {name}: nobody knows {sorted(unknown)[0]}")
    checks = _checks(name, spec.get("quality", {}))
    return Rule(
        name=name,
        reader=spec["reader"],
        enabled=bool(spec.get("enabled", True)),
        takes=_conditions(name, spec.get("takes", {})),
        needs=_conditions(name, spec.get("needs", {})),
        quality=checks,
        options=spec.get("options", {}),
    )


def _checks(rule: str, table: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Return the checks with their limits; `false` switches one off."""
    found: dict[str, Mapping[str, float]] = {}
    for check, limits in table.items():
        if check not in CHECKS:
            raise BadRouting(f"rule {rule}: there is no check {check}")
        if limits is False:
            continue
        wanted = CHECKS[check].limits
        if not isinstance(limits, dict) or set(limits) != wanted:
            raise BadRouting(f"rule {rule}, {check}: state {', '.join(sorted(wanted))}, or false")
        try:
            found[check] = {key: float(value) for key, value in limits.items()}
        except (TypeError, ValueError) as error:
            raise BadRouting(f"rule {rule}, {check}: a limit is no number") from error
    return found


def _conditions(rule: str, table: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(_condition(rule, fact, spec) for fact, spec in table.items())


def _condition(rule: str, fact: str, spec: object) -> Condition:
    """Return a condition; a list alone means "any of these"."""
    if fact not in NAMES:
        raise BadRouting(f"rule {rule}: nothing is known by the name {fact}")
    said = {"any_of": spec} if isinstance(spec, list) else spec
    if not isinstance(said, dict) or set(said) - CONDITION_KEYS:
        raise BadRouting(f"rule {rule}, {fact}: use {', '.join(sorted(CONDITION_KEYS))}")
    ranged = bool({"min", "max"} & set(said))
    if ranged != (fact in NUMBERS) or (fact in FLAGS and {"matches", "not_matches"} & set(said)):
        raise BadRouting(f"rule {rule}, {fact}: a number has min and max, a word any_of")
    if said.get("unknown", PASS) not in (PASS, REFUSE):
        raise BadRouting(f"rule {rule}, {fact}: unknown is {PASS} or {REFUSE}")
    try:
        return Condition(
            fact=fact,
            any_of=_values(said.get("any_of", [])),
            none_of=_values(said.get("none_of", [])),
            minimum=_number(said.get("min")),
            maximum=_number(said.get("max")),
            matches=_pattern(said.get("matches")),
            not_matches=_pattern(said.get("not_matches")),
            unknown=said.get("unknown", PASS),
            reason=said.get("reason", ""),
            message=said.get("message", ""),
        )
    except (TypeError, ValueError, re.error) as error:
        raise BadRouting(f"rule {rule}, {fact}: a value cannot be used") from error


def _values(values: Sequence[object]) -> tuple[str | bool, ...]:
    return tuple(value if isinstance(value, bool) else str(value).upper() for value in values)


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _pattern(value: object) -> re.Pattern[str] | None:
    return None if value is None else re.compile(str(value), re.IGNORECASE)
