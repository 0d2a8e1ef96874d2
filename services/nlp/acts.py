"""What a mention is of: what is done or given, and so can be planned, or a complaint."""

from __future__ import annotations

from services.nlp import tables
from services.nlp.terms import Kind, Term
from services.nlp.tokens import is_han, narrow

ENDINGS_ZH = tuple(row["ending"] for row in tables.rows("acts") if is_han(row["ending"][0]))
ENDINGS_EN = tuple(row["ending"] for row in tables.rows("acts") if row["ending"].isascii())
ENDINGS = (*ENDINGS_ZH, *ENDINGS_EN)
NONE = ("effusion", "confusion")
"""Of these "fusion" is no operation."""


def is_act(kind: Kind, written: str) -> bool:
    """Tell whether a mention names an act: a medicine, or a name that ends like one's."""
    if kind is not Kind.PROBLEM:
        return kind is Kind.MEDICATION
    name = narrow(written).casefold()
    name = name.removesuffix("s")
    return name.endswith(ENDINGS) and not name.endswith(NONE)


COMPLAINTS = frozenset(row["en"] for row in tables.rows("complaints"))
DISEASE_ENDS = "病症炎癌瘤征死塞核染竭形窄栓癜减亢毒化石"
"""How the name of a disease ends that no table holds."""


def is_complaint(term: Term | None, written: str) -> bool:
    """Tell whether a problem is what one complains of, not the disease behind it."""
    if term is None:
        return is_han(written[-1]) and written[-1] not in DISEASE_ENDS
    return term.en in COMPLAINTS
