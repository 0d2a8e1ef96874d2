"""OBX as Observation, with the notes that follow it. Pure.

Source: v2-to-FHIR OBX[Observation], OBX[Observation-Component], NTE[Observation].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ingest.corrections import SUB_ID
from services.ingest.hl7v2 import codes, datatypes, moments, values
from services.ingest.hl7v2.datatypes import present
from services.ingest.hl7v2.ranges import reference_range
from services.ingest.hl7v2.reader import Segment
from services.ingest.hl7v2.site import Site
from services.ingest.hl7v2.values import Reading, Unread

Json = dict[str, Any]

CATEGORY = [
    {
        "coding": [
            {"system": f"{codes.TERMINOLOGY}observation-category", "code": "laboratory"},
        ]
    }
]
INTERPRETATION = f"{codes.TERMINOLOGY}v3-ObservationInterpretation"
ABSENT = f"{codes.TERMINOLOGY}data-absent-reason"
ANALYSED = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"
CLOCKS_DIFFER = timedelta(minutes=15)
"""A time this far ahead is a clock that goes wrong, not a wrong date."""
READ = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 11, 14, 15, 16, 17, 18, 19, 20, 21, 23))
"""Fields that become part of the Observation, or order it (OBX-1, OBX-4)."""


@dataclass(frozen=True, slots=True)
class Result:
    """An OBX with its notes, in the group of its order."""

    segment: Segment
    notes: Sequence[Segment]
    ordered: Segment
    """Its OBR."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other results of its order: code, its system, sub-id, time."""
        obx = self.segment
        return (obx.text(3), obx.text(3, 3), obx.text(3, 2), obx.raw_of(4), obx.raw_of(14))

    @property
    def status(self) -> str:
        """OBX-11, whatever its case."""
        return self.segment.text(11).upper()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds for every result of a message."""

    site: Site
    zone: str
    now: datetime
    collected: str = ""
    """When the specimen was taken, where neither OBX nor OBR has a time."""


def observation(result: Result, around: Surroundings, subject: Json) -> Json:
    """Return the Observation of a result; what cannot be read is listed and left out."""
    obx, site = result.segment, around.site
    code = datatypes.concept(obx.part(3), site)
    made: Json = present(
        resourceType="Observation",
        identifier=[found for p in obx.parts(21) if (found := datatypes.entity(p, site, "FILL"))],
        status=_status(result),
        category=CATEGORY,
        code=code,
        subject=subject,
        effectiveDateTime=_time(result, around),
        interpretation=_interpretation(obx, site),
        method=datatypes.concept(obx.part(17), site),
        bodySite=datatypes.concept(obx.part(20), site),
        performer=_performers(obx, site),
        device=_device(obx, site),
        note=[note for each in result.notes if (note := comment(each, around))],
    )
    unit = values.unit(obx, site)
    made |= _value(result, Reading(obx, site, around.zone, unit), code)
    if found := reference_range(obx.whole(7), unit):
        made["referenceRange"] = [found]
    if extension := _extensions(obx, around):
        made["extension"] = extension
    return made


def _extensions(obx: Segment, around: Surroundings) -> list[Json]:
    """Return when it was analysed, and which of several of its code it is (OBX-4)."""
    analysed, sub_id = moments.moment(obx.text(19), around.zone), obx.whole(4)
    made = [{"url": ANALYSED, "valueDateTime": analysed}] if analysed else []
    return made + ([{"url": SUB_ID, "valueString": sub_id}] if sub_id else [])


def comment(note: Segment, around: Surroundings) -> Json:
    """Return an Annotation of an NTE; empty when it says nothing."""
    text = "\n".join(part.whole() for part in note.parts(3))
    if not text.strip():
        return {}
    author = datatypes.person(note.part(5), around.site)
    written = moments.moment(note.text(6), around.zone)
    return present(authorReference=author, time=written, text=text)


def _status(result: Result) -> str:
    obx, code = result.segment, result.status
    if found := codes.code("result_status", code):
        return found
    known = "OBX-11 has a status that table 0085 does not know" if code else "OBX-11 is empty"
    text = f"{known}; the result is kept with status unknown"
    obx.message.asides.add(obx.at(11), "RESULT_STATUS", text)
    return "unknown"


def _time(result: Result, around: Surroundings) -> str:
    """Return when the specimen was taken: OBX-14, else OBR-7, else the specimen's."""
    obx = result.segment
    for segment, field in ((obx, 14), (result.ordered, 7)):
        stated = segment.text(field)
        if not stated:
            continue
        if found := moments.moment(stated, around.zone):
            return _in_time(found, segment, field, around)
        text = "a time that is none was left out"
        obx.message.asides.add(segment.at(field), "TIME_NOT_READ", text)
    return around.collected


def _in_time(found: str, segment: Segment, field: int, around: Surroundings) -> str:
    """Return a time as it is; list it when it lies ahead."""
    at = moments.instant(found)
    ahead = at > around.now + CLOCKS_DIFFER if at else found[:10] > _tomorrow(around.now)
    if ahead:
        text = "the result is dated in the future; it is kept, and its time is not to be trusted"
        segment.message.asides.add(segment.at(field), "RESULT_IN_FUTURE", text)
    return found


def _tomorrow(now: datetime) -> str:
    return (now + timedelta(days=1)).date().isoformat()


def _interpretation(obx: Segment, site: Site) -> list[Json]:
    made = []
    for part in obx.parts(8):
        stated = part.text(1)
        if code := codes.code("interpretation", stated.upper()):
            made.append({"coding": [{"system": INTERPRETATION, "code": code}]})
        elif found := datatypes.concept(part, site):
            made.append(found | {"text": found.get("text", stated)})
    return made


def _performers(obx: Segment, site: Site) -> list[Json]:
    people = [datatypes.person(part, site) for part in obx.parts(16)]
    named = datatypes.organization(obx.part(23), site)
    if not named and (producer := datatypes.concept(obx.part(15), site)):
        shown = producer.get("text") or producer["coding"][0]["code"]
        named = {"type": "Organization", "display": shown}
    return [each for each in (*people, named) if each]


def _device(obx: Segment, site: Site) -> Json:
    found = datatypes.entity(obx.part(18), site)
    return {"type": "Device", "identifier": found} if found else {}


def _value(result: Result, reading: Reading, code: Json) -> Json:
    """Return value[x], components of a value that repeats, or why there is none."""
    obx = result.segment
    kind = obx.text(2).upper()
    parts = obx.parts(5)
    if not parts:
        return _absent(result)
    if not kind:
        text = "OBX-2 is empty; the value is kept as text"
        obx.message.asides.add(obx.at(2), "VALUE_TYPE_MISSING", text)
        kind = "ST"
    if kind in values.TEXTS:
        return _joined(kind, result, reading)
    found = [each for part in parts if (each := _one(kind, part, reading, result))]
    if not found:
        return _absent(result, "unsupported")
    if len(found) == 1:
        return found[0]
    return {"component": [{"code": code} | each for each in found]}


def _joined(kind: str, result: Result, reading: Reading) -> Json:
    """Return the repetitions of a text as its lines; one that is a number with a unit, as that."""
    obx = result.segment
    lines = []
    for part in obx.parts(5):
        try:
            lines.append(str(values.value(kind, part, reading).get("valueString", "")))
        except Unread as error:
            obx.message.asides.add(obx.at(5), error.reason, error.message)
    text = "\n".join(lines)
    return values.of_text(text, reading.unit) or _absent(result)


def _one(kind: str, part: Any, reading: Reading, result: Result) -> Json:
    """Return one value; one that is not of its type stays as text, and is listed."""
    obx = result.segment
    try:
        return values.value(kind, part, reading)
    except Unread as error:
        obx.message.asides.add(obx.at(5), error.reason, error.message)
    kept = part.whole()
    is_text = kind not in ("ED", "RP", "NA", "MA") and len(kept) <= values.TEXT_CHARS_MAX
    return {"valueString": kept} if is_text and kept else {}


def _absent(result: Result, reason: str = "") -> Json:
    """Return why an Observation has no value."""
    stated = result.status
    if stated == "X":
        coding = [{"system": f"{codes.TERMINOLOGY}v2-0085", "code": "X"}]
        return {"dataAbsentReason": {"coding": coding, "text": "Results cannot be obtained"}}
    code = "not-asked" if stated == "N" else reason or "unknown"
    return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": code}]}}


def standing(results: Iterable[Result]) -> list[Result]:
    """Return the results that stand, in order: a correction takes the place of what it corrects.

    Within one order the last OBX of the same code, sub-id and time counts when it is a
    correction, a deletion or says that it was wrong; what it replaces is listed.
    """
    kept: list[Result] = []
    for result in results:
        if result.status in ("C", "D", "W"):
            before = [each for each in kept if each.key == result.key]
            for each in before:
                text = f"a later result of this message ({result.segment.place}) replaces it"
                asides = result.segment.message.asides
                asides.add(each.segment.place, "RESULT_SUPERSEDED", text)
            kept = [each for each in kept if each not in before]
        kept.append(result)
    return kept
