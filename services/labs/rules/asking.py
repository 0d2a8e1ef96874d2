"""What conditions ask of facts, and when an answer about a value known by its bounds is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol


class Facts(Protocol):
    """What conditions ask."""

    def number(self, name: str) -> float | None:
        """Return the value of a name; None: not known."""

    def of(self, function: str, name: str) -> float | None:
        """Return what a function says of a name; None: not known."""

    def state(self, name: str) -> str | None:
        """Return low, high, normal or an answer; None: not known."""

    def truth(self, name: str) -> bool | None:
        """Return whether a named finding holds; None: not known."""

    @property
    def has_bounds(self) -> bool:
        """Whether a value is known only by its bounds."""

    def bounds(self, name: str) -> tuple[float, float] | None:
        """Return the least and the greatest value of a name; None: it has one, or none."""

    def corners(self, names: Iterable[str]) -> Sequence[Facts]:
        """Return the facts at each end of the bounded names among these."""


Number = Callable[[Facts], float | None]
Truth = Callable[[Facts], bool | None]
Limit = tuple[str, Callable[[float, float], bool], float]
"""A name, how it is compared, and with what number."""


def certain(holds: Sequence[Truth], names: frozenset[str]) -> Truth:
    """Return a condition of comparisons that is true only when it is certain.

    A value that is known only by its bounds is tried at both: each comparison is of quantities
    that rise or fall with it, so one that says the same at both says it between them too.
    """

    if len(holds) == 1:
        single = holds[0]

        def one(facts: Facts) -> bool | None:
            answer = single(facts)
            if answer is None and facts.has_bounds and (corners := facts.corners(names)):
                return _same([single(corner) for corner in corners])
            return answer

        return one

    def decided(facts: Facts) -> bool | None:
        unknown = False
        for each in holds:
            answer = each(facts)
            if answer is None and facts.has_bounds and (corners := facts.corners(names)):
                answer = _same([each(corner) for corner in corners])
            if answer is False:
                return False
            unknown = unknown or answer is None
        return None if unknown else True

    return decided


def _same(answers: Sequence[bool | None]) -> bool | None:
    return answers[0] if answers.count(answers[0]) == len(answers) else None


def known(value: float | None) -> bool | None:
    """Return whether a number counts as yes; None: it is not known."""
    return None if value is None else value > 0


def arithmetic(act: Callable[[float, float], float], left: Number, right: Number) -> Number:
    """Return two numbers put together; None where one is not known, or divided by 0."""

    def value(facts: Facts) -> float | None:
        a, b = left(facts), right(facts)
        if a is None or b is None:
            return None
        try:
            return act(a, b)
        except ZeroDivisionError:
            return None

    return value


class Constant:
    """A number of the text or a threshold; conditions that compare with one are asked faster."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, facts: Facts) -> float | None:
        """Return the number, whatever the facts are."""
        return self.value


class Named:
    """The value of a name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, facts: Facts) -> float | None:
        """Return what the facts say of the name."""
        return facts.number(self.name)


def compared(compare: Callable[[float, float], bool], left: Number, right: Number) -> Truth:
    """Return one comparison; None where a side is not known."""
    if isinstance(left, Named) and isinstance(right, Constant):
        name, limit = left.name, right.value

        def name_and_constant(facts: Facts) -> bool | None:
            a = facts.number(name)
            return None if a is None else compare(a, limit)

        return name_and_constant

    def holds(facts: Facts) -> bool | None:
        a = left(facts)
        if a is None:
            return None
        b = right(facts)
        return None if b is None else compare(a, b)

    return holds
