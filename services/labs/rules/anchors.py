"""Which rules are worth asking of a panel: looked up by the rarest input that each needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.labs.rules.asking import Limit
from services.labs.rules.known import Known
from services.labs.rules.model import WORDS, Derived, Node, Rule, When


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
_NONE: frozenset[str] = frozenset()


class Anchors:
    """Rules by one of their inputs, for each kind of person."""

    def __init__(self, rules: Sequence[Rule], derived: Mapping[str, Derived]) -> None:
        self._rules = rules
        self._anchored: dict[str, list[Anchored]] = {}
        self._by_person: dict[tuple[frozenset[str], str], Mapping[str, list[Anchored]]] = {}
        for number, rule in enumerate(rules):
            needs = _present(rule.needs)
            # A rule without a need of its own is looked up by what each of its ways needs.
            own = {min(needs, key=self._weight)} if needs else None
            names = own or _alternatives(rule.when, derived, self._weight)
            each = anchored(number, rule, needs, derived)
            for name in sorted(names):
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


def _alternatives(
    node: Node, derived: Mapping[str, Derived], weight: Callable[[str], tuple[int, str]]
) -> frozenset[str]:
    """Return names without any of which a node cannot hold, the rarest that there are.

    Every condition of `all` has to hold, so the rarest of them is enough; of `any` one has to,
    so each gives its own. Empty: it may hold without any name.
    """
    if not isinstance(node, When):
        names = frozenset[str]() if node.asks_knowledge else node.names - WORDS
        parts = {part for each in names for part in _parts(each, derived)}
        return frozenset({min(parts, key=weight)}) if parts else frozenset()
    found = [_alternatives(each, derived, weight) for each in (*node.all, *node.not_)]
    if node.any:
        each_of = [_alternatives(each, derived, weight) for each in node.any]
        if all(each_of):
            found.append(frozenset().union(*each_of))
    return min(
        filter(None, found), key=lambda names: sum(map(_common(weight), names)), default=_NONE
    )


def _parts(name: str, derived: Mapping[str, Derived]) -> frozenset[str]:
    own = derived.get(name)
    return _present(own.quantity.names if own else {name})


def _common(weight: Callable[[str], tuple[int, str]]) -> Callable[[str], int]:
    return lambda name: weight(name)[0] + 1
