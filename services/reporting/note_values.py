"""Values that the notes state. They are what a note says, never results: no range, no flag.

Their codes are ours alone, and the LOINC code is that of a component: who looks for results or
vital signs by their LOINC code must not be given the words of a note.
"""

from __future__ import annotations

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import mentions
from services.reporting.codes import LOINC
from services.reporting.draft import Draft, Part
from services.reporting.elements import Json, quantity_as_written, text
from services.reporting.note_elements import (
    ENTITIES,
    Documents,
    component,
    derived,
    in_section,
    located,
)
from services.reporting.words import say

PRESSURE = "85354-9"
"""LOINC code of a blood pressure: its two values are no range."""
_COMPARATORS = {"≤": "<=", "≥": ">="}


def compose(draft: Draft, part: Part, stated: pb.Measurement, documents: Documents) -> Json:
    """Return the Observation of a value as the note has it, digit for digit."""
    language = draft.language
    observation = draft.observation(part, stated.measurement_id, "category-exam")
    name = text(stated.display_zh if language == "zh" else stated.display_en) or text(stated.text)
    observation["code"] = {
        "coding": [{"system": ENTITIES, "code": "measurement"}],
        "text": say(language, "stated-in-note", name=name),
    }
    observation |= _value(stated)
    analyte: Json = {"text": name}
    if stated.loinc:
        analyte["coding"] = [{"system": LOINC, "code": stated.loinc}]
    components = [in_section(draft, stated.section)]
    components.append(component(draft, "analyte", {"valueCodeableConcept": analyte}))
    for code in ("other-person", "historical"):
        if getattr(stated, code.replace("-", "_")):
            components.append(component(draft, code, {"valueBoolean": True}))
    if stated.HasField("time"):
        components += mentions.detail(draft, stated.time, documents)
    observation["component"] = components
    observation |= located(stated.span, documents)
    return observation | derived([stated.span], documents)


def _value(stated: pb.Measurement) -> Json:
    """Return a number as a Quantity; what is none, a range and a blood pressure as text."""
    comparator = _COMPARATORS.get(stated.comparator, stated.comparator)
    if not stated.high:
        quantity = quantity_as_written(comparator + stated.value, stated.unit)
        if quantity:
            return {"valueQuantity": quantity}
    joined = f"{comparator}{stated.value}"
    if stated.high:
        joined += ("/" if stated.loinc == PRESSURE else "-") + stated.high
    return {"valueString": text(f"{joined} {stated.unit}") or text(stated.text)}
