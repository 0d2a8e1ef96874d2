"""A labs part read into what was measured: one `Measured` per Observation or component.

Nothing is dropped and nothing is judged here: every Observation yields at least one item,
and values keep the characters they came with. Malformed content yields empty fields.

Source: FHIR R4 4.0.1, Observation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.kernel import fhir
from services.kernel.errors import InvalidInput
from services.labs.lenient import list_of, mapping_of, number_of, text_of

AGE_YEARS_MAX = 130
DIGITS_MAX = EXPONENT_MAX = 30
TEXT_MAX = 500
"""Characters kept of a value that is a text."""
OTHER_VALUES = (
    *("valueBoolean", "valueRange", "valueRatio", "valueSampledData"),
    *("valueTime", "valueDateTime", "valuePeriod"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What ranges and scores need to know of the person."""

    sex: str = "unknown"
    """male, female, other or unknown (FHIR administrative gender)."""
    age_years: float | None = None
    pregnant: bool | None = None

    @property
    def adult(self) -> bool:
        """Whether the person is known to be 18 or older."""
        return self.age_years is not None and self.age_years >= 18


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it came, with its unit as text and as code."""

    number: Decimal
    written: str
    comparator: str = ""
    unit: str = ""
    code: str = ""
    """The unit's code; UCUM when `system` says so."""

    @property
    def in_scale(self) -> bool:
        """Whether the number is one a measurement can have; others could exhaust memory."""
        _, digits, exponent = self.number.as_tuple()
        finite = isinstance(exponent, int) and len(digits) <= DIGITS_MAX
        return finite and abs(self.number.adjusted()) <= EXPONENT_MAX


@dataclass(frozen=True, slots=True)
class Measured:
    """One result: an Observation's own value, or one of its components."""

    observation_id: str
    status: str
    loinc: tuple[str, ...] = ()
    display: str = ""
    effective: str = ""
    quantity: Quantity | None = None
    text: str = ""
    """A value that is not one number, as it came."""
    panel: bool = False
    """It only groups others."""
    ranges: tuple[Mapping[str, Any], ...] = field(default=())
    """FHIR referenceRange entries."""


@dataclass(frozen=True, slots=True)
class LabPart:
    """A labs part: whose it is, and what was measured, in order."""

    subject: Subject
    measured: tuple[Measured, ...]


def read(content: bytes) -> LabPart:
    """Return the labs part in a JSON document `{"subject": …, "observations": […]}`.

    Raises
    ------
    InvalidInput
        Not JSON, or not of this shape.
    """
    document = fhir.parse(content)
    observations = document.get("observations") if isinstance(document, Mapping) else None
    if not isinstance(observations, list):
        raise InvalidInput("a labs part needs a list of observations", reason="NOT_A_LABS_PART")
    items = [
        item
        for n, each in enumerate(observations, 1)
        for item in _items(mapping_of(each), f"lab-{n}")
    ]
    return LabPart(_subject(mapping_of(document.get("subject"))), tuple(items))


def _subject(found: Mapping[str, Any]) -> Subject:
    sex, age, pregnant = found.get("sex"), number_of(found.get("age_years")), found.get("pregnant")
    possible = age is not None and 0 <= age <= AGE_YEARS_MAX
    return Subject(
        sex if sex in ("male", "female", "other") else "unknown",
        float(age) if age is not None and possible else None,
        pregnant if isinstance(pregnant, bool) else None,
    )


def _items(observation: Mapping[str, Any], fallback_id: str) -> Iterator[Measured]:
    observation_id = text_of(observation.get("id")) or fallback_id
    components = [mapping_of(each) for each in list_of(observation.get("component"))]
    if _has_value(observation) or not components:
        yield _measured(observation, observation, observation_id)
    for number, component in enumerate(components, 1):
        yield _measured(component, observation, f"{observation_id}#{number}")


def _measured(node: Mapping[str, Any], whole: Mapping[str, Any], item_id: str) -> Measured:
    concept = mapping_of(node.get("code"))
    codings = [mapping_of(coding) for coding in list_of(concept.get("coding"))]
    displays = [text_of(concept.get("text")), *(text_of(c.get("display")) for c in codings)]
    quantity = _quantity(node)
    return Measured(
        observation_id=item_id,
        status=text_of(whole.get("status")),
        loinc=tuple(
            text_of(c.get("code")) for c in codings if c.get("system") == "http://loinc.org"
        ),
        display=next((d for d in displays if d), ""),
        effective=_effective(whole),
        quantity=quantity,
        text="" if quantity else _astext_of(node),
        panel=bool(list_of(node.get("hasMember"))) and not _has_value(node),
        ranges=tuple(mapping_of(entry) for entry in list_of(node.get("referenceRange"))),
    )


def quantity_of(node: object) -> Quantity | None:
    """Return a FHIR Quantity's number and unit; None when it holds no number."""
    found = mapping_of(node)
    number = number_of(found.get("value"))
    if number is None:
        return None
    return Quantity(
        number,
        getattr(number, "written", None) or str(found.get("value")),
        text_of(found.get("comparator")),
        text_of(found.get("unit")),
        text_of(found.get("code")),
    )


def _quantity(node: Mapping[str, Any]) -> Quantity | None:
    if "valueInteger" in node:
        return quantity_of({"value": node["valueInteger"]})
    return quantity_of(node.get("valueQuantity"))


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


def _effective(whole: Mapping[str, Any]) -> str:
    start = mapping_of(whole.get("effectivePeriod")).get("start")
    times = (whole.get("effectiveDateTime"), whole.get("effectiveInstant"), start)
    return next((time for time in map(text_of, times) if time), "")


def _has_value(node: Mapping[str, Any]) -> bool:
    return any(key.startswith("value") for key in node) or "dataAbsentReason" in node
