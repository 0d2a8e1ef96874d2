"""The head of a file of rules: thresholds, quantities and sources, and a tenant's thresholds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kernel.errors import InvalidInput, Violation
from services.labs.analytes import ANALYTES
from services.labs.rules import expression
from services.labs.rules.expression import BadCondition
from services.labs.rules.model import Derived, Json, Source, Threshold

Thresholds = Mapping[str, float]
"""By name."""


@dataclass(slots=True)
class Check:
    """Collects what is wrong, with where."""

    place: str
    problems: list[Violation] = field(default_factory=list)

    def say(self, where: str, problem: str) -> None:
        """Note a problem."""
        self.problems.append(Violation(f"{self.place}{where}", problem))


def thresholds(text: str, file: str) -> dict[str, dict[str, float]]:
    """Return a tenant's thresholds by topic and name: TOML tables of numbers.

    Raises
    ------
    InvalidInput
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{file} is not TOML: {error}", reason="BAD_RULES") from error
    problems = [
        Violation(f"{file}: {topic}", "is a table of names and numbers")
        for topic, table in document.items()
        if not isinstance(table, Mapping) or not all(map(_is_number, table.values()))
    ]
    if problems:
        raise InvalidInput(f"{file} has thresholds that cannot be used", problems)
    return {t: {n: float(v) for n, v in table.items()} for t, table in document.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def named_thresholds(check: Check, table: Json, replaced: Thresholds) -> dict[str, Threshold]:
    """Return the thresholds of a file, replaced by name where they are given."""
    made = {}
    for name, each in table.items():
        value = each.get("value") if isinstance(each, Mapping) else None
        unit = each.get("unit") if isinstance(each, Mapping) else None
        if not _is_number(value) or not unit:
            check.say(f"thresholds.{name}", "is { value = number, unit = text }")
            continue
        written = f"{replaced[name]:g}" if name in replaced else str(value)
        made[name] = Threshold(name, float(replaced.get(name, value or 0)), str(unit), written)
    for name in sorted(replaced.keys() - table.keys()):
        check.say(f"thresholds.{name}", "is no threshold of this file")
    return made


def derived_quantities(check: Check, table: Json, limits: Thresholds) -> dict[str, Derived]:
    """Return the quantities that a file defines, under `ratio:<name>`."""
    made: dict[str, Derived] = {}
    for name, each in table.items():
        full = f"ratio:{name}"
        try:
            quantity = expression.quantity(str(each["of"]), limits)
        except (BadCondition, KeyError, TypeError) as error:
            check.say(f"quantities.{name}", f"is {{ of = arithmetic, digits = number }}: {error}")
            continue
        for used in sorted(quantity.names):
            if used not in ANALYTES and used not in made and not used.startswith("score:"):
                check.say(f"quantities.{name}", f"{used} is no analyte")
        made[full] = Derived(full, quantity, int(each.get("digits", 1)), str(each.get("unit", "1")))
    return made


def sources_of(check: Check, table: Json) -> dict[str, Source]:
    """Return the papers and guidelines of a file."""
    made = {}
    for name, each in table.items():
        if not isinstance(each, Mapping) or not each.get("text"):
            check.say(f"sources.{name}", "is { text = …, link = … }")
            continue
        if strange := sorted(each.keys() - {"text", "link", "opened"}):
            check.say(f"sources.{name}", f"{strange[0]} is no field of a source")
        made[name] = Source(*(str(each.get(key, "")) for key in ("text", "link", "opened")))
    return made


def mapping_at(check: Check, entry: Json, name: str) -> Json:
    """Return a table of a rule; empty when it is none."""
    value = entry.get(name, {})
    if not isinstance(value, Mapping):
        check.say(name, "is a table of facts")
        return {}
    return value


def text_at(check: Check, entry: Json, name: str) -> str:
    """Return a text that must be there; empty when it is not."""
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        check.say(name, "is a text")
        return ""
    return value
