"""Codings used in a report; `data/codes.tsv` holds them with where each was confirmed."""

from __future__ import annotations

from services.reporting import tables
from services.reporting.elements import Json

_ROWS = {row["key"]: row for row in tables.rows("codes")}

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
COMPONENTS = "urn:dxmesh:observation-component"
"""Our names of what no standard at hand has a code for."""
VALUES = "urn:dxmesh:finding-value"
"""Our names of values of qualities; open: they are those that the readings give."""
SIGNS = frozenset({"vital-signs", "survey", "exam", "social-history"})
"""Categories (FHIR observation-category) of what no laboratory measured."""
REVIEW_TAG: Json = {"system": "urn:dxmesh:review", "code": "finding"}
"""Marks an Observation that needs a physician's verdict before the report can be signed."""


def coding(key: str) -> Json:
    """Return the Coding of a row of the table."""
    row = _ROWS[key]
    return {"system": row["system"], "code": row["code"], "display": row["display"]}


def concept(key: str, text: str = "") -> Json:
    """Return a CodeableConcept with the coding and, when given, a text for people."""
    return {"coding": [coding(key)]} | ({"text": text} if text else {})


def has(key: str) -> bool:
    """Tell whether the table has a coding for a key."""
    return key in _ROWS


def named(key: str, own: Json, text: str) -> Json:
    """Return the concept of a key; where no standard has it, with our own coding."""
    return {"coding": [coding(key) if has(key) else own], "text": text}
