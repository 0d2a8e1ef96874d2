"""ORC and OBR as ServiceRequest and DiagnosticReport. Pure.

Source: v2-to-FHIR ORC[ServiceRequest], OBR[ServiceRequest], OBR[DiagnosticReport],
ORC[DiagnosticReport].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.ingest.hl7v2 import codes, datatypes, moments
from services.ingest.hl7v2.datatypes import present
from services.ingest.hl7v2.observation import Result, Surroundings, comment
from services.ingest.hl7v2.reader import Segment

Json = dict[str, Any]

ORC_READ = frozenset((1, 2, 3, 4, 5, 9, 12))
OBR_READ = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 11, 14, 15, 16, 22, 24, 25, 32))
TQ1_READ = frozenset((1, 9))
URGENCY = ("routine", "urgent", "asap", "stat")
SECTION = f"{codes.TERMINOLOGY}v2-0074"


@dataclass(slots=True)
class Group:
    """One order with its results (ORDER_OBSERVATION)."""

    obr: Segment
    orc: Segment | None = None
    notes: list[Segment] = field(default_factory=list)
    timings: list[Segment] = field(default_factory=list)
    """TQ1."""
    results: list[Result] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)


def service_request(group: Group, around: Surroundings, subject: Json) -> Json:
    """Return the ServiceRequest of an order."""
    obr, orc, site = group.obr, group.orc, around.site
    ordered = obr.parts(16) or (orc.parts(12) if orc else [])
    return present(
        resourceType="ServiceRequest",
        identifier=identifiers(group, around),
        requisition=datatypes.entity(orc.part(4), site, "PGN") if orc else {},
        status=_order_status(group),
        intent="reflex-order" if obr.text(11) == "G" else "order",
        priority=priority(group),
        code=datatypes.concept(obr.part(4), site),
        subject=subject,
        occurrenceDateTime=moments.moment(obr.text(6), around.zone),
        authoredOn=moments.moment(orc.text(9), around.zone) if orc else "",
        requester=datatypes.person(ordered[0], site) if ordered else {},
        note=[made for each in group.notes if (made := comment(each, around))],
    )


def diagnostic_report(group: Group, around: Surroundings, subject: Json) -> Json:
    """Return the DiagnosticReport of an order, as the laboratory reported; without its results."""
    obr, site = group.obr, around.site
    start, end = (moments.moment(obr.text(n), around.zone) for n in (7, 8))
    issued = moments.moment(obr.text(22), around.zone)
    category = obr.text(24)
    code = datatypes.concept(obr.part(4), site)
    return present(
        resourceType="DiagnosticReport",
        identifier=identifiers(group, around),
        status=_report_status(obr),
        category=[{"coding": [{"system": SECTION, "code": category}]}] if category else [],
        code=code or {"text": "laboratory report"},
        subject=subject,
        effectiveDateTime="" if end else start,
        effectivePeriod=present(start=start, end=end) if end else {},
        issued=issued if "T" in issued else "",
        resultsInterpreter=_interpreter(obr, around),
    )


def identifiers(group: Group, around: Surroundings) -> list[Json]:
    """Return placer and filler numbers: of OBR, else of ORC."""
    made = []
    for number, kind in ((2, "PLAC"), (3, "FILL")):
        part = group.obr.part(number)
        if not part and group.orc:
            part = group.orc.part(number)
        if found := datatypes.entity(part, around.site, kind):
            made.append(found)
    return made


def priority(group: Group) -> str:
    """Return the priority: TQ1-9, OBR-5; empty when none is stated or known."""
    stated = [segment.text(9) for segment in group.timings] + [group.obr.text(5)]
    return next((found for code in stated if (found := codes.code("priority", code))), "")


def urgency(group: Group) -> int:
    """Return how pressing an order is, 0: routine."""
    return URGENCY.index(priority(group) or "routine")


def _order_status(group: Group) -> str:
    """Return ORC-5, else ORC-1, else what the report's status says of the order."""
    if group.orc:
        stated = codes.code("order_status", group.orc.text(5))
        stated = stated or codes.code("order_control", group.orc.text(1))
        if stated:
            return stated
    return "completed" if group.obr.text(25) in ("F", "C") else "active"


def _report_status(obr: Segment) -> str:
    stated = obr.text(25)
    if found := codes.code("report_status", stated):
        return found
    text = "OBR-25 has no status that table 0123 knows; the report's status is unknown"
    obr.message.asides.add(obr.at(25), "REPORT_STATUS", text)
    return "unknown"


def _interpreter(obr: Segment, around: Surroundings) -> list[Json]:
    """Return who interpreted (an NDL: a CNN of subcomponents)."""
    number, family, given = (obr.text(32, 1, n) for n in (1, 2, 3))
    shown = " ".join(each for each in (given, family) if each)
    known = {"value": number} if number else {}
    who = present(identifier=known, display=shown)
    return [{"type": "Practitioner"} | who] if who else []
