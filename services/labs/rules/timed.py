"""Of which names rules ask earlier values, so that no others need to be at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.labs.rules.model import Derived, Rule

_ASKED = re.compile(r"(?:earlier|lowest_7d|rise_48h|hours)\(([a-z0-9-]+)\)")


def names(rules: Iterable[Rule], derived: Iterable[Derived]) -> frozenset[str]:
    """Return the names inside functions over time, of conditions and quantities."""
    texts = [each.quantity.text for each in derived]
    for rule in rules:
        texts += [leaf.text for leaf in rule.when.leaves()]
        texts += [each.when.text for each in rule.against if each.when]
    return frozenset(_ASKED.findall(" ".join(texts)))
