"""Which Observations that no laboratory made go to analysis beside the results: inputs of scores.

Vital signs, points of scales (Glasgow coma scale, pain) and examination, when a LOINC code says
what they are and the value is a number or a code; of the social history tobacco and pregnancy
alone. What somebody wrote in words stays behind: no score reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.anonymization import codes
from services.anonymization.fhir_rules import LOINC

Json = Any
Resource = Mapping[str, Json]

ANY_CODE = frozenset(("vital-signs", "survey", "exam"))
"""Categories (FHIR observation-category) of which every LOINC code may go on."""
SOCIAL = "social-history"
SOCIAL_CODES = frozenset(("72166-2", "82810-3"))
"""Tobacco smoking status; pregnancy status."""
OTHERS = frozenset((*ANY_CODE, SOCIAL, "imaging", "therapy"))
"""Categories that no laboratory delivers."""
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_VALUES = frozenset(("valueQuantity", "valueInteger", "valueCodeableConcept"))


def is_input(resource: Resource, categories: Iterable[str]) -> bool:
    """Tell whether an Observation outside the laboratory goes to analysis with the results."""
    found = set(categories)
    allowed = _loinc(resource)
    if not found & ANY_CODE:
        allowed = allowed & SOCIAL_CODES if SOCIAL in found else set()
    return bool(allowed) and _is_measured(resource)


def marked(categories: Iterable[str]) -> dict[str, Json]:
    """Return the category of an Observation that no laboratory made; nothing for a result."""
    found = next((each for each in sorted(set(categories) & OTHERS)), "")
    return {"category": [{"coding": [{"system": CATEGORY, "code": found}]}]} if found else {}


def _is_measured(resource: Resource) -> bool:
    """Tell whether its value, or one of its components, is a number or a code."""
    nodes = resource.get("component")
    parts = [each for each in nodes if isinstance(each, Mapping)] if isinstance(nodes, list) else []
    values = {key for node in (resource, *parts) for key in node if key.startswith("value")}
    return bool(values) and values <= _VALUES


def _loinc(resource: Resource) -> set[str]:
    concept = resource.get("code")
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    nodes = [each for each in codings if isinstance(each, Mapping)] if codings else []
    found = {str(each.get("code")) for each in nodes if each.get("system") == LOINC}
    return {code for code in found if codes.is_loinc(code)}
