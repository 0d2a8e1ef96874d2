"""A labs part read into what was measured: one `Measured` per Observation or component.

Nothing is dropped and nothing is judged here: every Observation yields at least one item,
and values keep the characters they came with. Malformed content yields empty fields.

Source: FHIR R4 4.0.1, Observation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.kernel import fhir
from services.kernel.errors import InvalidInput
from services.labs.lenient import codes_of, list_of, mapping_of, number_of, text_of
from services.labs.measured import Comment, LabPart, Measured, Quantity, Subject

__all__ = [
    "Comment",
    "LabPart",
    "Measured",
    "Quantity",
    "Subject",
    "of_document",
    "quantity_of",
    "read",
]

AGE_YEARS_MAX = 130
GESTATION_WEEKS_MAX = 45
TEXT_MAX = 500
"""Characters kept of a value that is a text."""
LOINC = "http://loinc.org"
CLINICAL = frozenset({"vital-signs", "survey", "exam", "social-history"})
"""Categories of Observations that no laboratory makes: inputs of scores."""
OTHER_VALUES = (
    *("valueBoolean", "valueRange", "valueRatio", "valueSampledData"),
    *("valueTime", "valueDateTime", "valuePeriod"),
)


def read(content: bytes) -> LabPart:
    """Return the labs part in a JSON document `{"subject": …, "observations": […]}`.

    Raises
    ------
    InvalidInput
        Not JSON, or not of this shape.
    """
    return of_document(fhir.parse(content))


def of_document(document: object) -> LabPart:
    """Return the labs part in a document that was parsed; see `read`."""
    observations = document.get("observations") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(observations, list):
        raise InvalidInput("a labs part needs a list of observations", reason="NOT_A_LABS_PART")
    items = [
        item
        for n, each in enumerate(observations, 1)
        for item in _items(mapping_of(each), f"lab-{n}")
    ]
    said = tuple(map(_comment, map(mapping_of, list_of(document.get("comments")))))
    return LabPart(_subject(mapping_of(document.get("subject"))), tuple(items), said)


def _comment(node: Mapping[str, Any]) -> Comment:
    return Comment(text_of(node.get("text")), frozenset(map(text_of, list_of(node.get("results")))))


def _subject(found: Mapping[str, Any]) -> Subject:
    sex, pregnant = found.get("sex"), found.get("pregnant")
    return Subject(
        sex if sex in ("male", "female", "other") else "unknown",
        _within(found.get("age_years"), AGE_YEARS_MAX),
        pregnant if isinstance(pregnant, bool) else None,
        _within(found.get("gestation_weeks"), GESTATION_WEEKS_MAX),
        _within(found.get("age_days"), AGE_YEARS_MAX * 366),
    )


def _within(value: object, most: int) -> float | None:
    number = number_of(value)
    return float(number) if number is not None and 0 <= number <= most else None


def _items(observation: Mapping[str, Any], fallback_id: str) -> Iterator[Measured]:
    observation_id = text_of(observation.get("id")) or fallback_id
    specimen = _specimen(observation)
    components = [mapping_of(each) for each in list_of(observation.get("component"))]
    if not components or _has_value(observation):
        yield _measured(observation, observation, observation_id, specimen)
    for number, component in enumerate(components, 1):
        yield _measured(component, observation, f"{observation_id}#{number}", specimen)


def _measured(
    node: Mapping[str, Any], whole: Mapping[str, Any], item_id: str, specimen: str
) -> Measured:
    loinc, local, names = _codes(mapping_of(node.get("code")))
    quantity, high, dilution = _numbers(node)
    text = "" if quantity else _astext_of(node)
    return Measured(
        item_id,
        text_of(whole.get("status")),
        loinc,
        names[0] if names else "",
        _effective(whole),
        quantity,
        text,
        "hasMember" in node and bool(list_of(node["hasMember"])) and not _has_value(node),
        tuple(map(mapping_of, list_of(node.get("referenceRange")))),
        high,
        bool(text) and "valueCodeableConcept" in node,
        local,
        names,
        specimen,
        dilution,
        _category(whole),
        tuple(codes_of(node["valueCodeableConcept"])) if "valueCodeableConcept" in node else (),
        _notes(whole) if "note" in whole else (),
        _flagged(node["interpretation"]) if "interpretation" in node else (),
    )


def _flagged(found: object) -> tuple[str, ...]:
    return tuple(sorted({code for each in list_of(found) for code in codes_of(each)}))


def _notes(whole: Mapping[str, Any]) -> tuple[str, ...]:
    texts = (text_of(mapping_of(each).get("text")) for each in list_of(whole.get("note")))
    return tuple(text for text in texts if text)


def _codes(
    concept: Mapping[str, Any],
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return LOINC codes, other codes by system, and names."""
    loinc: list[str] = []
    local: list[tuple[str, str]] = []
    names = [text_of(concept.get("text"))]
    for each in list_of(concept.get("coding")):
        coding = mapping_of(each)
        system, code = coding.get("system"), text_of(coding.get("code"))
        if system == LOINC:
            loinc.append(code)
        elif code:
            local.append((text_of(system), code))
        names.append(text_of(coding.get("display")))
    return tuple(loinc), tuple(local), tuple(name for name in names if name)


def quantity_of(node: object) -> Quantity | None:
    """Return a FHIR Quantity's number and unit; None when it holds no number."""
    if not isinstance(node, Mapping):
        return None
    number = number_of(node.get("value"))
    if number is None:
        return None
    return Quantity(
        number,
        getattr(number, "written", None) or str(node.get("value")),
        text_of(node.get("comparator")),
        text_of(node.get("unit")),
        text_of(node.get("code")),
    )


def _numbers(node: Mapping[str, Any]) -> tuple[Quantity | None, Quantity | None, bool]:
    """Return the value's number, the upper end of a range, and whether it is a dilution."""
    if "valueInteger" in node:
        return quantity_of({"value": node["valueInteger"]}), None, False
    if "valueQuantity" in node:
        return quantity_of(node["valueQuantity"]), None, False
    if "valueRange" in node:
        found = mapping_of(node["valueRange"])
        low, high = (quantity_of(found.get(end)) for end in ("low", "high"))
        return (low, high, False) if low and high else (None, None, False)
    if "valueRatio" in node:
        found = mapping_of(node["valueRatio"])
        one, many = (quantity_of(found.get(end)) for end in ("numerator", "denominator"))
        if one and many and one.number == 1 and not (one.unit or many.unit or one.code):
            comparator = one.comparator or many.comparator
            return Quantity(many.number, f"1:{many.written}", comparator), None, True
    return None, None, False


def _astext_of(node: Mapping[str, Any]) -> str:
    if "valueString" in node:
        return text_of(node["valueString"])[:TEXT_MAX]
    concept = mapping_of(node.get("valueCodeableConcept"))
    codings = [mapping_of(coding) for coding in list_of(concept.get("coding"))]
    names = [text_of(concept.get("text"))]
    names += [text_of(c.get(key)) for c in codings for key in ("display", "code")]
    other = next((node[name] for name in OTHER_VALUES if name in node), None)
    if other is not None:
        names.append(other if isinstance(other, str) else fhir.dump(other).decode())
    return next((name for name in names if name), "")[:TEXT_MAX]


def _specimen(whole: Mapping[str, Any]) -> str:
    """Return what the specimen is called: its display, or the type of a contained one."""
    found = whole.get("specimen")
    if not isinstance(found, Mapping):
        return ""
    if display := text_of(found.get("display")):
        return display[:TEXT_MAX]
    wanted = text_of(found.get("reference")).removeprefix("#")
    for each in list_of(whole.get("contained")):
        resource = mapping_of(each)
        if wanted and resource.get("id") == wanted:
            _, _, names = _codes(mapping_of(resource.get("type")))
            return names[0][:TEXT_MAX] if names else ""
    return ""


def _category(whole: Mapping[str, Any]) -> str:
    for each in list_of(whole.get("category")):
        if found := codes_of(each) & CLINICAL:
            return min(found)
    return ""


def _effective(whole: Mapping[str, Any]) -> str:
    for name in ("effectiveDateTime", "effectiveInstant"):
        if time := text_of(whole.get(name)):
            return time
    period = whole.get("effectivePeriod")
    return text_of(period.get("start")) if isinstance(period, Mapping) else ""


def _has_value(node: Mapping[str, Any]) -> bool:
    return any(key.startswith("value") for key in node) or "dataAbsentReason" in node
