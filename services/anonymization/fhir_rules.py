"""De-identifies FHIR R4 Observations: what is not known to be safe is not taken over.

Every element is built anew from what was read; nothing is copied that no rule names. A
number keeps the characters it came with.

Source: FHIR R4 4.0.1, Observation; 45 CFR 164.514(b)(2) for what identifies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.anonymization import codes, dates, laboratory, local_codes, vocabulary
from services.anonymization.known import KnownStrings

Json = Any

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem/"
REMOVED = "[removed]"
TEXT_MAX = 200
_SIMPLE = re.compile(r"[a-zA-Z][a-zA-Z0-9.-]{0,30}")
_FIGURES = re.compile(r"[<>≤≥=~±+\-\d.,:/^×xEe\s%()]{1,24}")
_STATUS = frozenset(
    (
        *("registered", "preliminary", "final", "amended", "corrected", "cancelled"),
        *("entered-in-error", "unknown"),
    )
)
_COMPARATORS = frozenset(("<", "<=", ">=", ">"))
_TIMES = ("effectiveDateTime", "effectiveInstant", "issued", "valueDateTime")
_PERIODS = ("effectivePeriod", "valuePeriod")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules need to know of the case."""

    known: KnownStrings
    shift_days: int
    subject: str
    """Pseudonym of the patient."""
    references: Mapping[str, str]
    """Reference as submitted → id in the analysis zone."""
    specimens: Mapping[str, str] = field(default_factory=dict)
    """Reference as submitted → what kind of specimen that is, in words."""
    listed: local_codes.Pairs = local_codes.NONE
    """Local codes of the tenant's laboratory that may say what was measured."""


def observation(resource: Mapping[str, Json], new_id: str, rules: Rules) -> dict[str, Json]:
    """Return an Observation without identity, under its new id."""
    made: dict[str, Json] = {"resourceType": "Observation", "id": new_id}
    status = resource.get("status")
    made["status"] = status if status in _STATUS else "unknown"
    made["subject"] = {"reference": f"Patient/{rules.subject}"}
    for key, value in resource.items():
        if key in _TIMES or key in _PERIODS or key in _BUILDERS:
            _put(made, key, _element(key, value, rules))
        elif key == "specimen":
            _put(made, key, _specimen(value, rules))
        elif key == "hasMember":
            _put(made, key, _members(value, rules))
        elif key == "component" and isinstance(value, list):
            parts = [_component(each, rules) for each in value if isinstance(each, Mapping)]
            _put(made, key, parts)
    return made


def _component(node: Mapping[str, Json], rules: Rules) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for key, value in node.items():
        if key in _BUILDERS or key in _TIMES or key in _PERIODS:
            _put(made, key, _element(key, value, rules))
    return made or {"code": {"text": REMOVED}}


def _element(key: str, value: Json, rules: Rules) -> Json:
    if key in _TIMES:
        return dates.shift_fhir(value, rules.shift_days) if isinstance(value, str) else None
    if key in _PERIODS:
        return period(value, rules.shift_days)
    build = _BUILDERS[key]
    if isinstance(value, list):
        return [made for each in value if (made := build(each, rules)) not in (None, {})]
    return build(value, rules)


def period(value: Json, days: int) -> dict[str, str] | None:
    """Return a Period moved by days."""
    if not isinstance(value, Mapping):
        return None
    moved = {
        end: dates.shift_fhir(value[end], days)
        for end in ("start", "end")
        if isinstance(value.get(end), str)
    }
    return {end: date for end, date in moved.items() if date}


def text_or_none(value: Json, rules: Rules) -> str | None:
    """Return a short text when it is figures and units, or known words alone."""
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_MAX:
        return None
    if rules.known.within(value) and not value.strip().isascii():
        return None
    few_digits = sum(map(str.isdigit, value)) <= 8
    if few_digits and (_FIGURES.fullmatch(value) or codes.is_unit(value)):
        return value
    if vocabulary.is_known(value) and not rules.known.within(value):
        return value
    return None


def concept(value: Json, rules: Rules) -> dict[str, Json] | None:
    """Return a CodeableConcept with its public codes and its harmless text."""
    if not isinstance(value, Mapping):
        return None
    codings = value.get("coding")
    made: dict[str, Json] = {}
    if isinstance(codings, list):
        _put(made, "coding", [kept for each in codings if (kept := _coding(each, rules))])
    _put(made, "text", text_or_none(value.get("text"), rules))
    return made


def _code(value: Json, rules: Rules) -> dict[str, Json] | None:
    """Return what was measured: public codes, and a name that a laboratory may have printed.

    A local code is taken over when the tenant's table lists it; else the name it stands for is.
    """
    made = concept(value, rules)
    if made is None:
        return None
    found = value.get("coding")
    nodes = found if isinstance(found, list) else []
    codings = [each for each in nodes if isinstance(each, Mapping)]
    local = [each for each in codings if each.get("system") != LOINC]
    if listed := [kept for each in local if (kept := _listed(each, rules))]:
        made["coding"] = [*made.get("coding", ()), *listed]
    if "text" in made:
        return made
    words = [value.get("text"), *(each.get(key) for key in ("display", "code") for each in local)]
    _put(made, "text", next((each for each in words if _is_printed(each, rules)), None))
    return made


def _listed(coding: Mapping[str, Json], rules: Rules) -> dict[str, str] | None:
    """Return a coding that the tenant's table lists, as the table has it and without a display."""
    system, code = coding.get("system", ""), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    if (system, code) not in rules.listed or rules.known.within(code):
        return None
    if _coding(coding, rules) is not None:  # a public code, which is there already
        return None
    return {"system": system, "code": code} if system else {"code": code}


def _specimen(value: Json, rules: Rules) -> dict[str, str] | None:
    """Return the kind of a specimen; which one it is stays behind."""
    if not isinstance(value, Mapping):
        return None
    words = (value.get("display"), rules.specimens.get(str(value.get("reference"))))
    kind = next((each for each in words if _is_printed(each, rules)), None)
    return {"display": kind} if kind else None


def _is_printed(text: Json, rules: Rules) -> bool:
    """Tell whether a text is a name of an analyte or a specimen, and of nobody."""
    return isinstance(text, str) and laboratory.is_name(text) and not rules.known.within(text)


def _coding(value: Json, rules: Rules) -> dict[str, Json] | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("code"), str):
        return None
    system, code = value.get("system"), value["code"]
    checks: dict[str, Callable[[str], bool]] = {
        LOINC: codes.is_loinc,
        SNOMED: codes.is_snomed,
        UCUM: codes.is_unit,
    }
    if not isinstance(system, str):
        return None
    public = system.startswith(HL7) and bool(_SIMPLE.fullmatch(code)) and vocabulary_code(code)
    if not (checks[system](code) if system in checks else public):
        return None
    made: dict[str, Json] = {"system": system, "code": code}
    _put(made, "display", text_or_none(value.get("display"), rules))
    return made


def vocabulary_code(code: str) -> bool:
    """Tell whether a code of an HL7 code system is short or made of known words."""
    return len(code) <= 3 or vocabulary.is_known(code.replace("-", " "))


def quantity(value: Json, rules: Rules) -> dict[str, Json] | None:
    """Return a Quantity; its number is not touched."""
    if not isinstance(value, Mapping):
        return None
    made: dict[str, Json] = {}
    number = value.get("value")
    numeric = isinstance(number, int | Decimal) and not isinstance(number, bool)
    if numeric or (isinstance(number, str) and _FIGURES.fullmatch(number)):
        made["value"] = number
    if value.get("comparator") in _COMPARATORS:
        made["comparator"] = value["comparator"]
    for key in ("unit", "code"):
        unit = value.get(key)
        if isinstance(unit, str):
            _put(made, key, unit if codes.is_unit(unit) else REMOVED if key == "unit" else None)
    if value.get("system") == UCUM:
        made["system"] = UCUM
    return made


def _range(value: Json, rules: Rules) -> dict[str, Json] | None:
    return _parts(value, {"low": quantity, "high": quantity}, rules)


def _ratio(value: Json, rules: Rules) -> dict[str, Json] | None:
    return _parts(value, {"numerator": quantity, "denominator": quantity}, rules)


def _reference_range(value: Json, rules: Rules) -> dict[str, Json] | None:
    made = _parts(value, {"low": quantity, "high": quantity, "type": concept, "age": _range}, rules)
    if made is None:
        return None
    applies = value.get("appliesTo")
    if isinstance(applies, list):
        _put(made, "appliesTo", [kept for each in applies if (kept := concept(each, rules))])
    _put(made, "text", text_or_none(value.get("text"), rules))
    return made


def _parts(value: Json, builders: Mapping[str, Builder], rules: Rules) -> dict[str, Json] | None:
    if not isinstance(value, Mapping):
        return None
    made: dict[str, Json] = {}
    for key, build in builders.items():
        if key in value:
            _put(made, key, build(value[key], rules))
    return made


def _string(value: Json, rules: Rules) -> str | None:
    return text_or_none(value, rules) or REMOVED


def _plain(value: Json, rules: Rules) -> Json:
    return value if isinstance(value, bool | int) else None


def _time(value: Json, rules: Rules) -> str | None:
    found = isinstance(value, str) and re.fullmatch(r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?", value)
    return value if found else None


def _members(value: Json, rules: Rules) -> list[Json]:
    nodes = [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
    ids = [rules.references.get(str(node.get("reference"))) for node in nodes]
    return [{"reference": f"Observation/{new}"} for new in ids if new]


def _put(made: dict[str, Json], key: str, value: Json) -> None:
    if value is not None and value != {} and value != []:
        made[key] = value


Builder = Callable[[Json, Rules], Json]
_BUILDERS: dict[str, Builder] = {
    "category": concept,
    "code": _code,
    "valueQuantity": quantity,
    "valueCodeableConcept": concept,
    "valueString": _string,
    "valueBoolean": _plain,
    "valueInteger": _plain,
    "valueRange": _range,
    "valueRatio": _ratio,
    "valueTime": _time,
    "dataAbsentReason": concept,
    "interpretation": concept,
    "referenceRange": _reference_range,
    "method": concept,
    "bodySite": concept,
}
"""Element → how it is built anew; an element that is not here is dropped."""
