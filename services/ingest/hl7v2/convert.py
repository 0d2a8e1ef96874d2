"""An ORU^R01 as a submission Bundle, with everything that was not taken. Pure.

One message is one case: Patient, the orders (the most pressing first: it is the case's), the
laboratory's reports, specimens, results, the visit, and a Provenance that names the original by
its SHA-256.

Source: v2-to-FHIR message map ORU_R01; HL7 v2.9 7.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.ingest import patient as people
from services.ingest.hl7v2 import grouping, moments, observation, order, person, specimen
from services.ingest.hl7v2.asides import Place
from services.ingest.hl7v2.grouping import Parts
from services.ingest.hl7v2.observation import Surroundings
from services.ingest.hl7v2.order import Group
from services.ingest.hl7v2.reader import Message, Segment
from services.ingest.hl7v2.refusal import (
    SEQUENCE,
    TOO_LONG,
    NotTaken,
)
from services.ingest.hl7v2.site import Site

Json = dict[str, Any]

ORIGINAL = "urn:dxmesh:original-sha256"
"""Identifier system of an original message; the value is its SHA-256, hexadecimal."""
CONTROL_ID = "urn:dxmesh:hl7v2:control-id"
LANGUAGES = ("zh", "en")


class Names(Protocol):
    """A tenant's keyed hash: ids that are the same each time, and say nothing."""

    def __call__(self, domain: str, *values: str) -> str:
        """Return 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a conversion is made of besides the message."""

    site: Site
    names: Names
    now: datetime
    sha256: str
    """Of the original bytes."""
    entries_max: int = 5000


def bundle(message: Message, origin: Origin) -> Json:
    """Return the submission of a message.

    Raises
    ------
    NotTaken
        No patient, no order or no result; two patients; too many results.
    """
    if len(message.segments) > origin.entries_max:
        raise _too_many(origin)  # before the work, not after it
    parts = grouping.grouped(message)
    if parts.pid is None:
        raise NotTaken(
            "the message has no PID; nobody can say whose results these are",
            reason="NO_PATIENT",
            code=SEQUENCE,
            place=Place("PID"),
        )
    groups = [group for group in parts.groups if group.results]
    if not groups:
        raise NotTaken(
            "the message has no OBX after an OBR, so there is nothing to interpret",
            reason="NO_RESULTS",
            code=SEQUENCE,
            place=Place("OBX"),
        )
    grouping.list_unread(message)
    groups.sort(key=order.urgency, reverse=True)  # stable: the first of the most pressing leads
    parts.groups = groups
    return _built(parts.pid, parts, message, origin)


def _built(pid: Segment, parts: Parts, message: Message, origin: Origin) -> Json:
    msh, site, groups = message.header, origin.site, parts.groups
    around = Surroundings(site, moments.zone_of(msh.text(7)) or site.utc_offset, origin.now)
    who = person.patient(pid, parts.relatives, around)
    key = people.key_of(who, "")
    who["id"] = origin.names("patient-id", *key)[:32]
    subject = {"reference": f"Patient/{who['id']}"}
    made = _Made(origin, (*key, message.header.raw_of(10), origin.sha256))
    made.add(who)
    requests = [
        made.add(order.service_request(group, around, subject), "request", str(number))
        for number, group in enumerate(groups)
    ]
    visit = person.encounter(parts.pv1, around, subject) if parts.pv1 else {}
    seen = made.add(visit, "visit") if visit else ""
    for number, (group, request) in enumerate(zip(groups, requests, strict=True)):
        _reported(group, made, around, Context(subject, request, seen, str(number)))
    sender = " ".join(text for text in (msh.text(3), msh.text(4)) if text) or "not stated"
    targets = [{"reference": each} for each in requests]
    made.add(provenance(targets, origin.now, origin.sha256, sender), "provenance")
    if len(made.resources) > origin.entries_max:
        raise _too_many(origin)
    return _as_bundle(made.resources, message, site)


def _too_many(origin: Origin) -> NotTaken:
    return NotTaken(
        f"the message has over {origin.entries_max} segments or resources; send it in parts",
        reason="TOO_MANY_RESULTS",
        code=TOO_LONG,
        place=Place("OBX", origin.entries_max),
    )


@dataclass(frozen=True, slots=True)
class Context:
    """References that the resources of an order share."""

    subject: Json
    request: str
    encounter: str
    number: str

    def about(self, resource: Json) -> Json:
        """Return a resource with the visit it belongs to."""
        seen = {"encounter": {"reference": self.encounter}} if self.encounter else {}
        return resource | seen


class _Made:
    """Resources with ids that are the same whenever the message is converted."""

    def __init__(self, origin: Origin, key: tuple[str, ...]) -> None:
        self._origin = origin
        self._key = key
        self.resources: list[Json] = []

    def add(self, resource: Json, *name: str) -> str:
        """Add a resource and return its reference."""
        if "id" not in resource:
            resource["id"] = self._origin.names("result-id", *self._key, *name)[:32]
        self.resources.append(resource)
        return f"{resource['resourceType']}/{resource['id']}"


def _reported(group: Group, made: _Made, around: Surroundings, context: Context) -> None:
    """Add the specimens, results and report of an order."""
    taken = specimen.specimens(group, around, context.subject)
    sources = [made.add(each, "specimen", context.number, str(n)) for n, each in enumerate(taken)]
    when = next((at for each in taken if (at := specimen.collected(each))), "")
    around = Surroundings(around.site, around.zone, around.now, when)
    results = []
    for number, result in enumerate(group.results):
        resource = context.about(observation.observation(result, around, context.subject))
        resource["basedOn"] = [{"reference": context.request}]
        if len(sources) == 1:
            resource["specimen"] = {"reference": sources[0]}
        results.append(made.add(resource, "result", context.number, str(number)))
    report = context.about(order.diagnostic_report(group, around, context.subject))
    report["basedOn"] = [{"reference": context.request}]
    if sources:
        report["specimen"] = [{"reference": each} for each in sources]
    report["result"] = [{"reference": each} for each in results]
    made.add(report, "report", context.number)


def provenance(targets: list[Json], recorded: datetime, sha256: str, sender: str) -> Json:
    """Return where a Bundle comes from (v2-to-FHIR MSH[Provenance-Transformation])."""
    kind = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    activity = "http://hl7.org/fhir/uv/v2mappings/CodeSystem/provenance-activity-type-v2-to-fhir"
    agents = (("assembler", "dxmesh ingest"), ("author", sender))
    return {
        "resourceType": "Provenance",
        "target": targets,
        "recorded": recorded.isoformat(timespec="milliseconds"),
        "activity": {"coding": [{"system": activity, "code": "v2-fhir-transformation"}]},
        "agent": [
            {"type": {"coding": [{"system": kind, "code": role}]}, "who": {"display": who}}
            for role, who in agents
        ],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": ORIGINAL, "value": sha256}}}
        ],
    }


def _as_bundle(resources: list[Json], message: Message, site: Site) -> Json:
    made: Json = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in resources],
    }
    if control_id := message.header.text(10):
        made["identifier"] = {"system": CONTROL_ID, "value": control_id}
    stated = message.header.text(19)[:2].lower()
    language = stated if stated in LANGUAGES else site.language
    return made | ({"language": language} if language else {})
