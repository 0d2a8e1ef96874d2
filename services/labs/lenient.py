"""Reading JSON that may have any shape: what is not of the expected kind counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def number_of(value: object) -> Decimal | None:
    """Return a JSON number; None for anything else, booleans included."""
    if isinstance(value, Decimal):
        return value
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def text_of(value: object) -> str:
    """Return a JSON string; empty for anything else."""
    return value if isinstance(value, str) else ""


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return a JSON object; empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: object) -> list[Any]:
    """Return a JSON array; empty for anything else."""
    return value if isinstance(value, list) else []


def codes_of(concept: object) -> set[str]:
    """Return the codes of a FHIR CodeableConcept, whatever their systems."""
    codings = [mapping_of(coding) for coding in list_of(mapping_of(concept).get("coding"))]
    return {text_of(coding.get("code")) for coding in codings} - {""}
