"""What results are of, and how notes name them: `data/analytes.tsv`."""

from __future__ import annotations

from dataclasses import dataclass

from services.reporting import tables


@dataclass(frozen=True, slots=True)
class Analyte:
    """One analyte or ordinal test, with the id that the laboratory service has for it."""

    id: str
    unit: str
    """Canonical UCUM unit; empty for an ordinal test."""
    zh: str
    en: str
    names: tuple[str, ...]
    """How notes name it."""
    factors: tuple[tuple[str, float], ...]
    """Units as notes write them, each with the factor to the canonical unit."""
    low: float
    high: float
    """Outside them a number of a note is not taken for a value."""


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _analyte(row: dict[str, str]) -> Analyte:
    units = [each.rpartition("=") for each in _split(row["units"])]
    return Analyte(
        id=row["analyte"],
        unit=row["unit"],
        zh=row["zh"],
        en=row["en"],
        names=(*_split(row["names_zh"]), *_split(row["names_en"])),
        factors=tuple((unit, float(factor)) for unit, _, factor in units),
        low=float(row["low"] or 0),
        high=float(row["high"] or 0),
    )


_ROWS = tables.rows("analytes")
ANALYTES = {row["analyte"]: _analyte(row) for row in _ROWS}
BY_LOINC = {code: row["analyte"] for row in _ROWS for code in row["loinc"].split()}
VITALS = {
    **{"8480-6": "sbp", "8462-4": "dbp", "8867-4": "heart-rate", "9279-1": "respiratory-rate"},
    **{"8310-5": "temperature", "59408-5": "spo2", "2708-6": "spo2", "9269-2": "gcs"},
}
"""LOINC codes of vital signs, as the laboratory service reads them for scores."""


def analyte_of(analyte_id: str, loinc: str) -> str:
    """Return the id of a result's analyte: what the laboratory found, else by its code."""
    return analyte_id or BY_LOINC.get(loinc, "")
