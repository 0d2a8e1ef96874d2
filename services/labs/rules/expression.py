"""Conditions of rules: read once into closures, then asked of facts. No `eval`, no attributes.

    hgb < $anaemia_f
    6.0 <= k < 6.5
    alt >= 3 * uln(alt)
    urea * 1000 / creatinine > $urea_creatinine
    hbsag is positive
    sex is female
    ferritin is known
    gas:metabolic-acidosis

Names are analytes, ordinal tests, `score:<id>`, `gas:<finding>`, `age` and quantities that the
file defines (`ratio:<name>`); `$name` is a threshold of the file. A condition is true, false,
or unknown when something that it needs is not there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.labs.rules.asking import (
    Constant,
    Facts,
    Limit,
    Named,
    Number,
    Truth,
    arithmetic,
    certain,
    compared,
    known,
)

TEXT_MAX = 200
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z][a-z0-9]*(?:[:_-][a-z0-9]+)*)"
    r"|\$(?P<threshold>[a-z][a-z0-9_]*)|(?P<sign><=|>=|<|>|[-+*/(),]))"
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TURNED: Mapping[Callable[[float, float], bool], Callable[[float, float], bool]] = {
    operator.lt: operator.gt,
    operator.le: operator.ge,
    operator.gt: operator.lt,
    operator.ge: operator.le,
}
"""The same comparison with its sides exchanged."""
FUNCTIONS = frozenset({"uln", "lln", "earlier", "lowest_7d", "rise_48h", "hours", "round"})
"""uln, lln: ends of the range the result was held to. earlier: the value before the latest.
lowest_7d: the lowest of the 7 days before it; rise_48h: by how much it rose within 48 hours;
hours: between the latest and the one before."""
STATES = frozenset({"low", "high", "normal", "critical"})
ANSWERS = frozenset({"positive", "negative", "borderline"})


class BadCondition(ValueError):
    """The text of a condition cannot be read; the message says where."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: what it asks, and the names it needs to be known."""

    text: str
    holds: Truth
    names: frozenset[str]
    thresholds: frozenset[str]
    asks_knowledge: bool = False
    """It asks whether something is known, so it needs nothing."""
    limits: tuple[Limit, ...] = ()
    """Comparisons of a name with a number: where one is known to fail, the condition is false."""
    states: tuple[tuple[str, str], ...] = ()
    """Names and the state that each must have, in the same sense."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One arithmetic expression."""

    text: str
    value: Number
    names: frozenset[str]


def condition(text: str, thresholds: Mapping[str, float]) -> Condition:
    """Read one condition.

    Raises
    ------
    BadCondition
    """
    reader = _Reader(text, thresholds)
    holds = reader.condition()
    reader.end()
    names = frozenset(reader.names)
    return Condition(
        text,
        holds,
        names,
        frozenset(reader.used),
        reader.asks_knowledge,
        tuple(reader.limits),
        tuple(reader.states),
    )


def quantity(text: str, thresholds: Mapping[str, float]) -> Quantity:
    """Read one arithmetic expression.

    Raises
    ------
    BadCondition
    """
    reader = _Reader(text, thresholds)
    value = reader.sum()
    reader.end()
    return Quantity(text, value, frozenset(reader.names))


class _Reader:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, thresholds: Mapping[str, float]) -> None:
        if len(text) > TEXT_MAX:
            raise BadCondition(f"longer than {TEXT_MAX} characters")
        self._tokens = _tokens(text)
        self._at = 0
        self._thresholds = thresholds
        self.names: set[str] = set()
        self.used: set[str] = set()
        self.asks_knowledge = False
        self.limits: list[Limit] = []
        self.states: list[tuple[str, str]] = []

    def condition(self) -> Truth:
        if self._peek()[0] == "name" and self._next_is_word("is"):
            return self._state()
        if self._peek()[0] == "name" and self._at + 1 == len(self._tokens):
            name = self._name()
            return lambda facts: facts.truth(name)
        parts: list[tuple[Callable[[float, float], bool], Number, Number]] = []
        left = self.sum()
        while self._peek()[1] in _COMPARE:
            compare = _COMPARE[self._take()[1]]
            right = self.sum()
            parts.append((compare, left, right))
            if isinstance(left, Named) and isinstance(right, Constant):
                self.limits.append((left.name, compare, right.value))
            elif isinstance(left, Constant) and isinstance(right, Named):
                self.limits.append((right.name, _TURNED[compare], left.value))
            left = right
        if not parts:
            raise BadCondition("a comparison (<, <=, >, >=) or “is” is missing")
        return certain([compared(*part) for part in parts], frozenset(self.names))

    def sum(self) -> Number:
        value = self._product()
        while (sign := self._peek()[1]) in ("+", "-"):
            self._take()
            value = arithmetic(
                operator.add if sign == "+" else operator.sub, value, self._product()
            )
        return value

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise BadCondition(f"“{self._peek()[1]}” is one too many")

    def _state(self) -> Truth:
        name = self._name()
        self._take()
        kind, word = self._take()
        if kind != "name":
            raise BadCondition("“is” needs a word after it")
        if word == "known":
            self.asks_knowledge = True
            return lambda facts: (
                facts.number(name) is not None
                or facts.state(name) is not None
                or facts.bounds(name) is not None
            )
        if name == "sex":
            if word not in ("male", "female"):
                raise BadCondition("sex is male or female")
        elif word not in STATES | ANSWERS:
            raise BadCondition(f"“{word}” is no state: {', '.join(sorted(STATES | ANSWERS))}")
        self.states.append((name, word))
        if word == "critical":
            return lambda facts: known(facts.of("critical", name))

        def holds(facts: Facts) -> bool | None:
            state = facts.state(name)
            return None if state is None else state == word

        return holds

    def _product(self) -> Number:
        value = self._factor()
        while (sign := self._peek()[1]) in ("*", "/"):
            self._take()
            act = operator.mul if sign == "*" else operator.truediv
            value = arithmetic(act, value, self._factor())
        return value

    def _factor(self) -> Number:
        kind, text = self._take()
        if kind == "number":
            return Constant(float(text))
        if kind == "threshold":
            if text not in self._thresholds:
                raise BadCondition(f"the threshold ${text} is not defined")
            self.used.add(text)
            return Constant(self._thresholds[text])
        if kind == "name":
            if self._peek()[1] == "(":
                return self._call(text)
            self.names.add(text)
            return Named(text)
        if text == "(":
            inner = self.sum()
            self._expect(")")
            return inner
        raise BadCondition(f"“{text or 'the end'}” where a value was expected")

    def _call(self, function: str) -> Number:
        if function not in FUNCTIONS:
            raise BadCondition(f"{function} is no function: {', '.join(sorted(FUNCTIONS))}")
        self._expect("(")
        name = self._name()
        self._expect(")")
        if function == "round":
            return lambda facts: None if (v := facts.number(name)) is None else float(round(v))
        return lambda facts: facts.of(function, name)

    def _name(self) -> str:
        kind, text = self._take()
        if kind != "name":
            raise BadCondition(f"“{text or 'the end'}” where a name was expected")
        self.names.add(text)
        return text

    def _expect(self, sign: str) -> None:
        if self._take()[1] != sign:
            raise BadCondition(f"“{sign}” is missing")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next_is_word(self, word: str) -> bool:
        at = self._at + 1
        return at < len(self._tokens) and self._tokens[at] == ("name", word)

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            raise BadCondition(f"“{stripped[at:].strip()[:10]}” cannot be read")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found
