"""Which scores a report lists: those a physician would look for, not all that can be tried.

A score is listed when it was computed and one of its conditions holds (or it has none). One
that was not computed, and has no conditions, is listed when the person alone stands in its
way, or a value that came is stale, out of range or not clear, or one or two results of the
laboratory are missing while more of them are there. A score that lacks anything a laboratory
does not deliver is not listed: it would be missing in every report. Scores that belong to one
disease are listed only when asked for. The limits in the conditions are the project's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt

from services.labs.scores.model import Condition, Definition, Gap, Input, Value

LACKING_MAX = 2
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def of_computed(definition: Definition, value: float, values: Sequence[Value]) -> bool:
    """Tell whether a report lists a computed score; `values` are what its formula took."""
    conditions = definition.listed
    if not conditions:
        return conditions is not None
    names = [wanted.quality.name for wanted in definition.wanted]
    known = dict(zip(names, values, strict=True)) | {"value": value}
    return any(_holds(each, known) for each in conditions)


def of_refused(definition: Definition, inputs: Sequence[Input], gaps: Sequence[Gap]) -> bool:
    """Tell whether a report lists a score that was not computed."""
    came = {each.name for each in inputs} | {
        gap.quality.name for gap in gaps if gap.reason.reason != "MISSING_INPUT"
    }
    return definition.listed == () and worth_trying(definition, came)


def worth_trying(definition: Definition, known: set[str]) -> bool:
    """Tell whether a score may be computed, or is near enough to say what it lacks."""
    if not definition.of_others <= known:
        return False
    if definition.one_of and definition.one_of.isdisjoint(known):
        return False
    lacking = len(definition.of_laboratory - known)
    there = len(definition.of_laboratory) - lacking
    if not lacking:
        return bool(there or definition.of_others)
    return definition.listed == () and lacking <= LACKING_MAX and lacking < there


def _holds(condition: Condition, known: Mapping[str, Value]) -> bool:
    value = known[condition.name]
    return value is not None and _OPERATORS[condition.operator](value, condition.limit)
