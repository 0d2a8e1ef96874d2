"""Codings used in a report; `data/codes.tsv` holds them with where each was confirmed."""

from __future__ import annotations

from services.reporting import tables
from services.reporting.elements import Json

_ROWS = {row["key"]: row for row in tables.rows("codes")}

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
REVIEW_TAG: Json = {"system": "urn:dxmesh:review", "code": "finding"}
"""Marks an Observation that needs a physician's verdict before the report can be signed."""


def coding(key: str) -> Json:
    """Return the Coding of a row of the table."""
    row = _ROWS[key]
    return {"system": row["system"], "code": row["code"], "display": row["display"]}


def concept(key: str, text: str = "") -> Json:
    """Return a CodeableConcept with the coding and, when given, a text for people."""
    return {"coding": [coding(key)]} | ({"text": text} if text else {})


def snomed_displays() -> dict[str, str]:
    """Return the display of each SNOMED CT code in the table."""
    return {row["code"]: row["display"] for row in _ROWS.values() if row["system"] == SNOMED}
