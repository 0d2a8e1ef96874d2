"""What a critical result says, in words, from the findings it stands in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING
from dxmesh.event.v1.critical_found_pb2 import (
    CRITICAL_DIRECTION_HIGH,
    CRITICAL_DIRECTION_LOW,
    CriticalFound,
    CriticalResult,
)
from dxmesh.imaging.v1.imaging_findings_pb2 import Function, ImagingFindings
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings, LabResult

from services.gateway.restore import to_true_date
from services.gateway.web.words import Words
from services.kernel.errors import InvalidInput
from services.kernel.ucum import readable

FLAGS = {CRITICAL_DIRECTION_LOW: "LL", CRITICAL_DIRECTION_HIGH: "HH"}
PRESENT = "AA"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement:
    """One critical result as a reader meets it."""

    result_id: str
    """As in the findings; the id of a component has "#n"."""
    kind: str
    """labs or imaging."""
    flag: str
    """LL, HH or AA (HL7 v3 ObservationInterpretation)."""
    name: str
    value: str
    """Digit for digit as it came, with its unit; empty for images."""
    limit: str
    source: str
    text: str
    """All of it in one sentence, without what is for reference only."""

    @property
    def observation_id(self) -> str:
        """Id of the whole Observation."""
        return self.result_id.partition("#")[0]


def statements(event: CriticalFound, content: bytes, words: Words, days: int) -> list[Statement]:
    """Return what the results of an event say.

    Parameters
    ----------
    content : the findings that the event names
    days : days to add to a date of the analysis zone

    Raises
    ------
    InvalidInput
        A result is not in the findings.
    """
    if event.kind == PART_KIND_IMAGING:
        return _images(event.results, ImagingFindings.FromString(content), words)
    found = {each.observation_id: each for each in LabFindings.FromString(content).results}
    return [_lab(told, _known(found, told), words, days) for told in event.results]


def measurements(event: CriticalFound, content: bytes, days: int) -> dict[str, tuple[str, ...]]:
    """Return, by result id, what was measured of what and when, where a time of day is stated.

    A laboratory that sends a correction may give it another id; its name, code, specimen and time
    stay. One name of one minute may be two results: potassium of venous and of arterial blood.
    """
    if event.kind == PART_KIND_IMAGING:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for each in LabFindings.FromString(content).results:
        name = each.source_display or each.loinc_code or each.display_en
        if name and "T" in each.effective_time:
            time = _moment(to_true_date(each.effective_time, days))
            found[each.observation_id] = (name, each.loinc_code, each.specimen, time)
    return found


def _moment(text: str) -> str:
    """Return a dateTime in UTC, so that the same moment is the same text; else as it came."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found.astimezone(UTC).isoformat() if found.tzinfo else text


def _known(found: dict[str, T], told: CriticalResult) -> T:
    if told.result_id not in found:
        raise InvalidInput("a critical result is not in its findings", reason="RESULT_MISSING")
    return found[told.result_id]


def _lab(told: CriticalResult, result: LabResult, words: Words, days: int) -> Statement:
    zh = words.language == "zh"
    name = (result.display_zh if zh else result.display_en) or result.source_display
    value = f"{result.value_text} {readable(result.unit_text)}".strip()
    other = result.canonical_value not in ("", result.value_text)  # a limit and a word have none
    if other and result.unit_text != told.limit_unit:
        value += f" (= {result.canonical_value} {readable(result.canonical_unit)})".rstrip()
    flag = FLAGS.get(told.direction, PRESENT)
    limit = f"{told.limit} {readable(told.limit_unit)}".strip()
    said = {"name": name, "value": value, "limit": limit, "source": told.limit_source}
    text = words(f"critical.{flag}", **said)
    if result.effective_time:
        text += words("critical.at", time=_time(to_true_date(result.effective_time, days)))
    return Statement(told.result_id, "labs", flag, name, value, limit, told.limit_source, text)


def _time(text: str) -> str:
    """Return a FHIR dateTime for a reader: to the minute, with its zone."""
    day, _, clock = text.partition("T")
    if not clock:
        return day
    zone = "UTC" if clock.endswith("Z") else clock[-6:] if clock[-6:-5] in ("+", "-") else ""
    return f"{day} {clock[:5]} {zone}".rstrip()


def _images(
    results: Sequence[CriticalResult], found: ImagingFindings, words: Words
) -> list[Statement]:
    """Return one statement per kind of finding: ten haemorrhages are one thing to look at."""
    names = {each.finding_id: each.kind for each in found.findings}
    for number, answer in enumerate(found.answers, 1):
        reading = Function.Name(answer.function).removeprefix("FUNCTION_").lower()
        names[f"answer-{number}"] = f"answer-{reading}"
    first: dict[str, str] = {}
    for told in results:
        first.setdefault(_known(names, told), told.result_id)
    made: list[Statement] = []
    for kind, result_id in first.items():
        name = words.either("critical.kind", kind)
        text = words("critical.AA", name=name)
        made.append(Statement(result_id, "imaging", PRESENT, name, "", "", "", text))
    return made
