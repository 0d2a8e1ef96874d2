"""Groups of results that notes call normal by one name: renal function, a blood count."""

from __future__ import annotations

from services.reporting import tables


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


_ROWS = tables.rows("groups")
MEMBERS = {f"group:{row['group']}": tuple(_split(row["analytes"])) for row in _ROWS}
"""Ids of the analytes that a name means, by the group."""
NAMES = {
    name: f"group:{row['group']}"
    for row in _ROWS
    for cell in ("names_zh", "names_en")
    for name in _split(row[cell])
}
"""Groups by how notes name them."""
