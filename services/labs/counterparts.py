"""A quantity and the ordinal test of the same thing, where results come under the other's code.

Laboratories send `3+` under the code of quantitative urine protein, and `1:320` under the code of
the presence of nuclear antibodies. Each is then read as what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.labs import analytes, qualitative, tables, values
from services.labs.analytes import Code
from services.labs.panel import Measured
from services.labs.qualitative import Test
from services.labs.reading import TITRE

_ROWS = tables.rows("counterparts")
TESTS: Mapping[str, Test] = MappingProxyType(
    {row["quantity"]: qualitative.BY_ID[row["test"]] for row in _ROWS}
)
"""By analyte id: the test that its answers are of."""
_TITRES: Mapping[str, Code] = MappingProxyType(
    {
        row["test"]: analytes.OWN_CODES[row["quantity"]]
        for row in _ROWS
        if analytes.ANALYTES[row["quantity"]].unit.ucum == TITRE
    }
)
REACTIVE = frozenset(row["quantity"] for row in _ROWS if row["dilution"] == "any")
"""Ids of titres every stated dilution of which is abnormal."""


def titre_of(test: Test | None, item: Measured) -> Code | None:
    """Return the code of the titre, where a dilution came under the code of a test."""
    code = _TITRES.get(test.analyte_id) if test else None
    if code is None or item.dilution:
        return code
    if item.quantity is not None:
        return None
    found = values.read(item.text)
    return code if found and found.titre else None
