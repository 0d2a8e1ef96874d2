"""What was measured and judged of a finding, as name and value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
NOT_DETECTED, PRESENT = "260415000", "52101004"


def facts_of(resource: Json) -> list[tuple[str, str]]:
    """Return name and value of each component, but for whether it is there: the title says so."""
    facts: list[tuple[str, str]] = []
    for component in resource.get("component", []):
        concept = component.get("valueCodeableConcept", {})
        code = component.get("code", {})
        name = code.get("text") or next((c.get("display") for c in code.get("coding", [])), "")
        if {NOT_DETECTED, PRESENT} & {str(c.get("code")) for c in concept.get("coding", [])}:
            continue
        coded = next((c.get("display") for c in concept.get("coding", [])), "")
        value = concept.get("text") or coded
        if "valueQuantity" in component:
            value = quantity(component["valueQuantity"])
        if name and value:
            facts.append((str(name), str(value)))
    return facts


def quantity(value: Json) -> str:
    """Return a Quantity as people write it, digit for digit."""
    number = value.get("value", "")
    written = getattr(number, "written", number)
    unit = value.get("unit", value.get("code", ""))
    unit = "" if unit == "1" else unit
    return f"{value.get('comparator', '')}{written} {unit}".strip()
