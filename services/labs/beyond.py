"""Words that stand for a value no analyser could measure: `HI` on a glucose meter, 不凝固."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.labs import tables
from services.labs.folding import fold

_SIDES: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        (row["analyte"], row["written"]): 1 if row["side"] == "high" else -1
        for row in tables.rows("beyond")
    }
)


def side_of(analyte_id: str, text: str) -> int:
    """Return 1 where the text says that the value is above all limits, -1 below, 0: neither."""
    return _SIDES.get((analyte_id, fold(text)), 0) if text and len(text) <= 20 else 0
