"""Every input of the scores, from `data/score_inputs.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.labs import tables, units
from services.labs.analytes import ANALYTES
from services.labs.scores.model import Kind, Quality
from services.labs.units import Unit

CELSIUS = Unit("Cel", 1.0, (("[temperature]", 1.0),), frozenset({"Cel"}))
"""A scale with a zero of its own: no factor leads to another, see `facts`."""


def _load() -> dict[str, Quality]:
    made: dict[str, Quality] = {}
    for row in tables.rows("score_inputs"):
        kind, sources = Kind(row["kind"]), tuple(row["sources"].split())
        analyte = ANALYTES[sources[0]] if kind is Kind.LAB else None
        bounds = (float(row["low"] or "-inf"), float(row["high"] or "inf"))
        made[row["input"]] = Quality(
            row["input"],
            kind,
            sources,
            _unit(row["unit"]) if row["unit"] else None,
            *bounds,
            float(row["keep_h"] or 0),
            row["en"] or (analyte.name_en if analyte else ""),
            row["zh"] or (analyte.name_zh if analyte else ""),
        )
    return made


def _unit(ucum: str) -> Unit:
    return CELSIUS if ucum == CELSIUS.ucum else units.read(ucum)


QUALITIES: Mapping[str, Quality] = MappingProxyType(_load())
"""By name."""

BY_ANALYTE: Mapping[str, tuple[Quality, ...]] = MappingProxyType(
    {
        analyte: tuple(q for q in QUALITIES.values() if analyte in q.sources)
        for analyte in {s for q in QUALITIES.values() if q.kind.of_laboratory for s in q.sources}
    }
)
"""The inputs that a result of an analyte can be."""

BY_LOINC: Mapping[str, Quality] = MappingProxyType(
    {code: q for q in QUALITIES.values() if q.kind is Kind.VITAL for code in q.sources}
)
"""The vital signs and measures, by LOINC code."""

ANSWERS: Mapping[str, tuple[Quality, bool]] = MappingProxyType(
    {
        row["code"]: (QUALITIES[row["input"]], row["answer"] == "yes")
        for row in tables.rows("clinical_answers")
    }
)
"""The input that a coded answer of examination or social history tells, and how, by its code."""
