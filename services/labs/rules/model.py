"""What a file of rules becomes: thresholds, sources, conditions and rules, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.labs.rules.asking import Facts
from services.labs.rules.expression import Condition, Quantity

WORDS = frozenset({"age", "sex", "pregnant"})
"""Names of what is known of the person."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A named limit."""

    name: str
    value: float
    unit: str
    written: str = ""
    """The value for a reader: `{$name}` in a text shows it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A paper or guideline."""

    text: str
    link: str
    opened: str = ""
    """Which part of it was read, and when; empty: cited from knowledge, not opened."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A quantity that a file defines from others."""

    name: str
    quantity: Quantity
    digits: int
    """Decimals that it is shown with."""
    unit: str


@dataclass(frozen=True, slots=True)
class When:
    """Conditions together: every one of `all`, one of `any`, none of `not` and `unless`.

    `not` needs to know that they do not hold; `unless` only stops a rule when it knows that
    they do.
    """

    all: tuple[Node, ...] = ()
    any: tuple[Node, ...] = ()
    not_: tuple[Node, ...] = ()
    unless: tuple[Node, ...] = ()

    def holds(self, facts: Facts) -> bool | None:
        """Return whether they hold; None when what is known does not decide it."""
        unknown = False
        for node in self.all:
            if not (said := node.holds(facts)):
                if said is False:
                    return False
                unknown = True
        for node in self.not_:
            if (said := node.holds(facts)) is not False:
                if said:
                    return False
                unknown = True
        for node in self.unless:
            if node.holds(facts):
                return False
        if self.any:
            answers = [node.holds(facts) for node in self.any]
            if True not in answers:
                if None not in answers:
                    return False
                unknown = True
        return None if unknown else True

    def must(self) -> Iterable[Condition]:
        """Return conditions of which none may be false."""
        for node in self.all:
            if isinstance(node, When):
                yield from node.must()
            else:
                yield node

    def leaves(self) -> Iterable[Condition]:
        """Return every condition."""
        for node in (*self.all, *self.any, *self.not_, *self.unless):
            if isinstance(node, When):
                yield from node.leaves()
            else:
                yield node

    def needed(self) -> frozenset[str]:
        """Return the names without which the conditions can never hold."""
        found: set[str] = set()
        for node in (*self.all, *self.not_):
            found |= _needed(node)
        if self.any:
            found |= frozenset.intersection(*(_needed(node) for node in self.any))
        return frozenset(found)

    def supporting(self, facts: Facts) -> set[str]:
        """Return the names that the conditions which hold speak of."""
        found: set[str] = set()
        for node in (*self.all, *self.any):
            if node.holds(facts):
                found |= node.supporting(facts) if isinstance(node, When) else node.names
        for node in self.not_:
            for leaf in node.leaves() if isinstance(node, When) else (node,):
                found |= leaf.names
        return found


Node = Condition | When


def _needed(node: Node) -> frozenset[str]:
    if isinstance(node, When):
        return node.needed()
    return frozenset() if node.asks_knowledge else node.names - WORDS


@dataclass(frozen=True, slots=True)
class Against:
    """Something that argues against a rule: always, or when its condition holds."""

    en: str
    zh: str
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be asked."""

    risk_id: str
    topic: str
    kind: str
    priority: str
    strength: str
    population: str
    sex: str
    when: When
    value: tuple[str, ...]
    """The names of which {value} shows the first that is known."""
    text_en: str
    text_zh: str
    next_en: str
    next_zh: str
    sources: tuple[Source, ...]
    against: tuple[Against, ...]
    contradicts: tuple[str, ...]
    covers: tuple[str, ...]
    """Rules that need not be said when this one is."""
    within_hours: float
    positive: Json
    negative: Json
    needs: frozenset[str] = frozenset()
    """Without one of these it cannot hold; derived quantities taken apart."""
    names: tuple[str, ...] = ()
    """Everything it may ask, in order of first use."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One file of rules."""

    topic: str
    name_en: str
    name_zh: str
    thresholds: Mapping[str, Threshold]
    derived: Mapping[str, Derived]
    rules: tuple[Rule, ...]
