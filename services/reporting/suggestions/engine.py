"""Weighs conditions against what is known of a case; asks only those that something touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.reporting.suggestions.model import (
    POINTS_MIN,
    Condition,
    Evidence,
    Facts,
    Feature,
    Outcome,
    Weighed,
    Weight,
)


class Engine:
    """The conditions, indexed by what each of their features asks for."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = tuple(conditions)
        self._weighed = tuple(map(_features, self.conditions))
        self._asking, self._always = _index(self._weighed)

    def weigh(self, facts: Facts) -> Outcome:
        """Return what should be considered.

        A condition is suggested when its limits allow it, one of its core features is there,
        and its points (`Weight`) reach `POINTS_MIN`; red flags have none, since they say how
        pressing something is, not how likely. A pressing one with a decisive result stays, with
        what opposes it told: a potassium of 7 from a haemolysed tube is repeated, not passed over.
        Order: `Weighed.rank`.
        """
        touched: dict[int, set[int]] = {}
        for key in facts.by_key:
            for number, place in self._asking.get(key, ()):
                touched.setdefault(number, set()).add(place)
        suggested: list[Weighed] = []
        insufficient: list[Weighed] = []
        for number, places in touched.items():
            condition = self.conditions[number]
            if not condition.limits.allow(facts):
                continue
            weighed = self._weigh(number, places, facts)
            if not weighed.supports or not any(each.found(facts) for each in condition.core):
                continue
            (suggested if _is_enough(weighed) else insufficient).append(weighed)
        return Outcome(_ranked(suggested), _ranked(insufficient))

    def _weigh(self, number: int, places: set[int], facts: Facts) -> Weighed:
        features, evidence = self._weighed[number], []
        for place in sorted(places | self._always[number]):
            weight, red, feature = features[place]
            if shown := feature.found(facts):
                evidence.append(Evidence(feature, weight, red, tuple(shown)))
        evidence.sort(key=lambda each: (not each.red, each.weight < 0, -abs(each.weight)))
        evidence = _once(evidence)
        points = sum(each.weight for each in evidence)
        return Weighed(self.conditions[number], tuple(evidence), points)


def _is_enough(weighed: Weighed) -> bool:
    results = (each for each in weighed.evidence if each.weight == Weight.DECISIVE)
    decisive = weighed.pressing and any(each.results for each in results)
    return weighed.points >= (1 if decisive else POINTS_MIN)


def _once(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return evidence without what says the same results again: the heaviest counts.

    A potassium is a result, a rule that fired by it, and a number over a limit.
    """
    told: set[tuple[bool, bool, frozenset[str]]] = set()
    kept = []
    for each in evidence:
        said = (each.red, each.weight < 0, each.results)
        if each.results and said in told:
            continue
        told.add(said)
        kept.append(each)
    return kept


def _ranked(found: Iterable[Weighed]) -> list[Weighed]:
    return sorted(found, key=Weighed.rank)


_Feature = tuple[int, bool, Feature]
"""Points (a red flag has none), whether it is a red flag, and the feature."""


def _features(condition: Condition) -> tuple[_Feature, ...]:
    red = [(0, True, each) for each in condition.red]
    return (*red, *((int(weight), False, each) for weight, each in condition.weighed))


def _index(
    conditions: Sequence[Sequence[_Feature]],
) -> tuple[Mapping[str, Sequence[tuple[int, int]]], Sequence[frozenset[int]]]:
    """Return which features ask for a key, and which of each condition ask for the person alone.

    Age and sex alone touch no condition, so they suggest nothing.
    """
    asking: dict[str, list[tuple[int, int]]] = {}
    always = []
    for number, features in enumerate(conditions):
        of_the_person = set()
        for place, (_, _, feature) in enumerate(features):
            keys = set(feature.asked())
            others = {key for key in keys if not key.startswith("person:")}
            for key in others:
                asking.setdefault(key, []).append((number, place))
            if not others:
                of_the_person.add(place)
        always.append(frozenset(of_the_person))
    return asking, always
