"""Which rules are worth asking of a panel: looked up by the rarest input that each needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.labs.rules.model import Derived, Rule

Anchored = tuple[int, Rule, frozenset[str]]
"""A rule with its number and the names it needs."""

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
            for name in names:
                self._anchored.setdefault(name, []).append((number, rule, needs))

    def of(self, about: frozenset[str], letter: str) -> Mapping[str, list[Anchored]]:
        """Return the rules of populations and a sex, by the input that they are looked up by."""
        key = about, letter
        if key not in self._by_person:
            self._by_person[key] = {
                name: kept
                for name, anchored in self._anchored.items()
                if (kept := [each for each in anchored if _is_of(each[1], about, letter)])
            }
        return self._by_person[key]

    def _weight(self, name: str) -> tuple[int, str]:
        """Return how common an input is: rare ones make the better anchors."""
        return sum(name in rule.needs for rule in self._rules), name


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
