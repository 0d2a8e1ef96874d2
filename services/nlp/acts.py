"""What is done or given, and so can be planned: medicines, operations, tests, vaccines."""

from __future__ import annotations

from services.nlp import tables
from services.nlp.terms import Kind
from services.nlp.tokens import is_han, narrow

ENDINGS_ZH = tuple(row["ending"] for row in tables.rows("acts") if is_han(row["ending"][0]))
ENDINGS_EN = tuple(row["ending"] for row in tables.rows("acts") if row["ending"].isascii())


def is_act(kind: Kind, written: str) -> bool:
    """Tell whether a mention names an act: a medicine, or a name that ends like one's."""
    if kind is not Kind.PROBLEM:
        return kind is Kind.MEDICATION
    name = narrow(written).casefold()
    return name.endswith(ENDINGS_ZH) or name.removesuffix("s").endswith(ENDINGS_EN)
