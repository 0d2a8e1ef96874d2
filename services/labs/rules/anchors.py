"""Which rules are worth asking of a panel: looked up by the rarest input that each needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.labs.rules.asking import Limit
from services.labs.rules.known import Known
from services.labs.rules.model import WORDS, Derived, Rule


@dataclass(frozen=True, slots=True)
class Anchored:
    """A rule with its number, the names it needs, and what most panels fail of it."""

    number: int
    rule: Rule
    needs: frozenset[str]
    limits: tuple[Limit, ...]
    states: tuple[tuple[str, str], ...]

    def fails(self, latest: Mapping[str, Known]) -> bool:
        """Tell whether a condition is false, by values alone: much less than to ask them all."""
        for name, compare, limit in self.limits:
            number = known.number if (known := latest.get(name)) else None
            if number is not None and not compare(number, limit):
                return True
        for name, word in self.states:
            if (known := latest.get(name)) is None or not known.state:
                continue
            if not known.critical if word == "critical" else known.state != word:
                return True
        return False


_GAS = frozenset({"ph", "pco2"})


class Anchors:
    """Rules by one of their inputs, for each kind of person."""

    def __init__(self, rules: Sequence[Rule], derived: Mapping[str, Derived]) -> None:
        self._rules = rules
        self._anchored: dict[str, list[Anchored]] = {}
        self._by_person: dict[tuple[frozenset[str], str], Mapping[str, list[Anchored]]] = {}
        for number, rule in enumerate(rules):
            needs = _present(rule.needs)
            # A rule without a need of its own is looked at whenever one of its names is there.
            names = [min(needs, key=self._weight)] if needs else _any_names(rule, derived)
            each = anchored(number, rule, needs, derived)
            for name in names:
                self._anchored.setdefault(name, []).append(each)

    def of(self, about: frozenset[str], letter: str) -> Mapping[str, list[Anchored]]:
        """Return the rules of populations and a sex, by the input that they are looked up by."""
        key = about, letter
        if key not in self._by_person:
            self._by_person[key] = {
                name: kept
                for name, every in self._anchored.items()
                if (kept := [each for each in every if _is_of(each.rule, about, letter)])
            }
        return self._by_person[key]

    def _weight(self, name: str) -> tuple[int, str]:
        """Return how common an input is: rare ones make the better anchors."""
        return sum(name in rule.needs for rule in self._rules), name


def anchored(
    number: int, rule: Rule, needs: frozenset[str], derived: Mapping[str, Derived]
) -> Anchored:
    """Return a rule with what of it can be held to values alone."""
    must = tuple(rule.when.must())
    other = WORDS | derived.keys()
    return Anchored(
        number,
        rule,
        needs,
        tuple(each for one in must for each in one.limits if each[0] not in other),
        tuple(each for one in must for each in one.states if each[0] not in other),
    )


def _is_of(rule: Rule, about: frozenset[str], letter: str) -> bool:
    return rule.population in about and rule.sex in ("all", letter)


def _present(needs: Iterable[str]) -> frozenset[str]:
    """Return needs as names of values: what a blood gas shows needs the gas."""
    found: set[str] = set()
    for name in needs:
        found |= _GAS if name.startswith("gas:") else {name}
    return frozenset(found)


def _any_names(rule: Rule, derived: Mapping[str, Derived]) -> list[str]:
    found: dict[str, None] = {}
    for name in rule.names:
        own = derived.get(name)
        for each in sorted(_present(own.quantity.names if own else {name})):
            found.setdefault(each)
    return list(found)
