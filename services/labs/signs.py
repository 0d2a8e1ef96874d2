"""Observations that no laboratory made: how the report names them, and what they answer.

They are inputs of scores. They have no range and no flag here: a pulse of 110 is not a result of
the laboratory, and what it means the scores say.
"""

from __future__ import annotations

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.labs import analytes
from services.labs.panel import Measured
from services.labs.scores.facts import of_sign, shown_sign
from services.labs.scores.inputs import BY_LOINC
from services.labs.scores.model import Quality

SURVEYS = frozenset({"gcs", "gcs-verbal"})
EXAMS = frozenset({"fio2", "oxygen-flow", "urine-24h", "waist"})


def category_of(item: Measured) -> str:
    """Return the FHIR category of an item that is no result of a laboratory; empty for one."""
    if item.category:
        return item.category
    quality = quality_of(item)
    if quality is None or any(each in analytes.CODES for each in item.loinc):
        return ""
    known = dict.fromkeys(SURVEYS, "survey") | dict.fromkeys(EXAMS, "exam")
    return known.get(quality.name, "vital-signs")


def quality_of(item: Measured) -> Quality | None:
    """Return the input of scores that its code names; None: it names none."""
    return next((BY_LOINC[code] for code in item.loinc if code in BY_LOINC), None)


def message(item: Measured, category: str) -> pb.LabResult:
    """Return it as it came, with its value in the unit of the input when it is one."""
    quality, quantity = quality_of(item), item.quantity
    made = pb.LabResult(
        observation_id=item.observation_id,
        loinc_code=next(iter(item.loinc), ""),
        source_display=item.display,
        value_text=f"{quantity.comparator}{quantity.written}" if quantity else item.text,
        unit_text=(quantity.unit or quantity.code) if quantity else "",
        effective_time=item.effective,
        category=category,
    )
    if quality:
        made.display_en, made.display_zh = quality.name_en, quality.name_zh
        value = None if quantity is None or quantity.comparator else of_sign(quality, quantity)
        if value is not None and quantity and quality.unit:
            made.canonical_value = shown_sign(quantity, value)
            made.canonical_unit = quality.unit.ucum
    return made
