"""What rules of all files share: that they fit together, and what they ask of earlier values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from services.kernel.errors import InvalidInput, Violation
from services.labs.rules.model import Derived, Rule, Topic

_ASKED = re.compile(r"(?:earlier|lowest_7d|rise_48h|hours)\(([a-z0-9-]+)\)")


def timed(rules: Iterable[Rule], derived: Iterable[Derived]) -> frozenset[str]:
    """Return the names inside functions over time, of conditions and quantities."""
    texts = [each.quantity.text for each in derived]
    for rule in rules:
        texts += [leaf.text for leaf in rule.when.leaves()]
        texts += [each.when.text for each in rule.against if each.when]
    return frozenset(_ASKED.findall(" ".join(texts)))


def check(topics: Sequence[Topic], rules: Sequence[Rule]) -> None:
    """Raise `InvalidInput` when rules name each other wrongly or share an id."""
    ids = [rule.risk_id for rule in rules]
    problems = [
        Violation(each, "is the id of two rules") for each in {i for i in ids if ids.count(i) > 1}
    ]
    problems += [
        Violation(rule.risk_id, f"{other} is no rule")
        for rule in rules
        for other in (*rule.contradicts, *rule.covers)
        if other not in ids
    ]
    names = [name for topic in topics for name in topic.derived]
    problems += [
        Violation(each, "is defined in two files")
        for each in {n for n in names if names.count(n) > 1}
    ]
    if problems:
        raise InvalidInput("the rules do not fit together", problems)
