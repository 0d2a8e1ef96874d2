"""A message's segments by patient, visit and order, and what of them is not taken over. Pure.

Source: HL7 v2.9 7.3.1 (ORU^R01), 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.ingest.hl7v2 import observation, order, person, specimen
from services.ingest.hl7v2.observation import Result
from services.ingest.hl7v2.order import Group
from services.ingest.hl7v2.reader import Message, Segment
from services.ingest.hl7v2.refusal import SEQUENCE, NotTaken

_READ: Mapping[str, frozenset[int]] = {
    "PID": person.PID_READ,
    "NK1": person.NK1_READ,
    "PV1": person.PV1_READ,
    "ORC": order.ORC_READ,
    "OBR": order.OBR_READ,
    "TQ1": order.TQ1_READ,
    "OBX": observation.READ,
    "NTE": frozenset((1, 2, 3, 5, 6)),
    "SPM": specimen.SPM_READ,
}
"""Segment → fields that are taken over; others with a value are listed."""


@dataclass(slots=True)
class Parts:
    """The message's segments, grouped."""

    pid: Segment | None = None
    pv1: Segment | None = None
    relatives: list[Segment] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def grouped(message: Message) -> Parts:
    """Return the segments as the message structure has them."""
    found = Parts()
    orc: Segment | None = None
    last: list[Segment] | None = None
    for segment in message.segments[1:]:
        name = segment.name
        if name == "PID":
            _one_patient(found, segment)
            last = None
        elif name == "PV1" and found.pv1 is None:
            found.pv1 = segment
        elif name == "NK1":
            found.relatives.append(segment)
        elif name == "ORC":
            orc, last = segment, None
        elif name == "OBR":
            found.groups.append(Group(segment, orc))
            orc, last = None, found.groups[-1].notes
        elif name == "NTE" and last is not None:
            last.append(segment)
        elif found.groups and name in ("OBX", "SPM", "TQ1"):
            last = _into(found.groups[-1], segment, last)
        else:
            text = "the segment is not read, or stands where it has no meaning"
            message.asides.add(segment.place, "SEGMENT_NOT_READ", text)
    for group in found.groups:
        group.results = observation.standing(group.results)
        if not group.results:
            text = "an order without results was left out, with its notes"
            message.asides.add(group.obr.place, "ORDER_WITHOUT_RESULTS", text)
    return found


def _into(group: Group, segment: Segment, last: list[Segment] | None) -> list[Segment] | None:
    """Put a segment into its order; return where notes go that follow it."""
    if segment.name == "TQ1":
        group.timings.append(segment)
        return last
    if segment.name == "SPM":
        group.specimens.append(segment)
        return None
    notes: list[Segment] = []
    if segment.text(3) or segment.text(3, 2) or segment.text(3, 4):
        group.results.append(Result(segment, notes, group.obr))
    else:
        text = "a result without a code or a name (OBX-3) was left out"
        segment.message.asides.add(segment.at(3), "RESULT_WITHOUT_CODE", text)
    return notes


def _one_patient(found: Parts, pid: Segment) -> None:
    if found.pid is None:
        found.pid = pid
    elif not person.same_person(found.pid, pid):
        raise NotTaken(
            "the message is about more than one patient; send one message for each",
            reason="SECOND_PATIENT",
            code=SEQUENCE,
            place=pid.place,
        )


def list_unread(message: Message) -> None:
    """List every field that has a value and is not taken over."""
    for segment in message.segments[1:]:
        read = _READ.get(segment.name)
        if read is None:
            continue
        for number in range(1, len(segment.raw)):
            if number not in read and segment.raw[number].strip(message.signs.component):
                text = "the field is not taken over"
                message.asides.add(segment.at(number), "FIELD_NOT_READ", text)
