"""The FHIR R4 Communication of a critical result, and what becomes of it. Pure.

`in-progress` until somebody read it, then `completed`; `entered-in-error` when the result was
corrected and is not critical any more. An escalation is a Communication of its own that
answers the first one.

Source: R4 Communication; ADR 0032.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.critical.statements import Statement
from services.gateway.fhir.search import match
from services.gateway.progress import language_tag
from services.gateway.restore import Identity
from services.gateway.web.words import Words

Json = Any
Resource = dict[str, Json]

KIND = "Communication"
EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
PROFILE = EXTENSION + "critical-notice"
IDENTIFIER = "urn:dxmesh:critical"
REASONS = "urn:dxmesh:critical-reason"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/communication-category"
TOPICS = "http://terminology.hl7.org/CodeSystem/communication-topic"
LABELS = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
RECIPIENTS = frozenset({"Practitioner", "PractitionerRole", "Organization", "CareTeam"})
SENDER = "dxmesh"
UNREAD, DONE, WITHDRAWN = "in-progress", "completed", "entered-in-error"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who read a notice."""

    reference: Mapping[str, Json]
    """A Reference to the person: literal, or logical by an identifier."""
    display: str


def first(
    notice_id: str, case_id: str, said: Statement, identity: Identity, language: int, sent: str
) -> Resource:
    """Return the Communication that tells a critical result.

    Parameters
    ----------
    language : `case_ref.Language`
    sent : FHIR instant
    """
    words = Words(language_tag(language))
    about = abouts(said, identity)
    made: Resource = {
        "resourceType": KIND,
        "id": notice_id,
        "meta": {"profile": [PROFILE], "security": labels(identity)},
        "language": words.tag,
        "extension": [_coded(said)],
        "identifier": [{"system": IDENTIFIER, "value": notice_id}],
        "partOf": [{"reference": f"Task/{case_id}"}],
        "status": UNREAD,
        "category": [concept(CATEGORIES, "alert", "Alert")],
        "priority": "stat",
        "subject": {"reference": f"Patient/{identity.patient['id']}"},
        "sent": sent,
        "sender": {"display": SENDER},
        "payload": [{"contentString": f"{said.text}{words('critical.reference')}"}],
    }
    if order := identity.service_request.get("id"):
        made["basedOn"] = [{"reference": f"ServiceRequest/{order}"}]
    if said.kind == "labs":
        made["topic"] = concept(TOPICS, "report-labs", "Labs Report")
    if about:
        made["about"] = [dict(each) for each in about]
        made["payload"] += [{"contentReference": dict(each)} for each in about]
    if ordered_by := requester(identity.service_request):
        made["recipient"] = [ordered_by]
    return made


def abouts(said: Statement, identity: Identity) -> list[dict[str, str]]:
    """Return references to what was submitted: the Observation, or the images."""
    if said.kind == "labs":
        found = identity.references.get(said.observation_id, "")
        return [{"reference": found}] if found else []
    studies = (each.get("id") for each in identity.imaging_studies)
    return [{"reference": f"ImagingStudy/{each}"} for each in studies if each]


def escalation(
    told: Mapping[str, Json],
    resource_id: str,
    number: int,
    minutes: int,
    recipients: list[str],
    sent: str,
) -> Resource:
    """Return the Communication that tells a notice again, as nobody has read it.

    Parameters
    ----------
    told : the first Communication
    number : from 1
    minutes : since the first was sent
    recipients : references of whom it is for; empty: those of the first
    """
    words = Words("zh" if told.get("language") == "zh-CN" else "en")
    again = words("critical.again", minutes=minutes, number=number)
    payload = [dict(each) for each in told["payload"]]
    payload[0] = {"contentString": f"{again}{payload[0]['contentString']}"}
    made: Resource = {k: v for k, v in told.items() if k not in ("received", "statusReason")}
    meta = {k: v for k, v in told["meta"].items() if k in ("profile", "security")}
    made |= {
        "id": resource_id,
        "meta": meta,
        "identifier": [{"system": IDENTIFIER, "value": resource_id}],
        "inResponseTo": [{"reference": f"{KIND}/{told['id']}"}],
        "status": UNREAD,
        "reasonCode": [concept(REASONS, "escalation", words("critical.escalation"))],
        "sent": sent,
        "payload": payload,
    }
    if recipients:
        made["recipient"] = [{"reference": each} for each in recipients]
    return made


def read_by(resource: Mapping[str, Json], reader: Reader, at: str) -> Resource:
    """Return a Communication that somebody read; the first time stays, readers are added."""
    extension = resource.get("extension", [])
    if any(_who(each) == dict(reader.reference) for each in extension):
        return dict(resource)
    noted = {
        "url": f"{EXTENSION}acknowledgement",
        "extension": [
            {"url": "who", "valueReference": _shown(reader)},
            {"url": "time", "valueDateTime": at},
        ],
    }
    known = [each for each in resource.get("recipient", []) if not _same(each, reader)]
    made = {**resource, "extension": [*extension, noted], "recipient": [*known, _shown(reader)]}
    if resource["status"] == UNREAD:
        made |= {"status": DONE, "received": at}
    return made


def withdrawn(resource: Mapping[str, Json]) -> Resource:
    """Return a Communication whose result is not critical any more."""
    words = Words("zh" if resource.get("language") == "zh-CN" else "en")
    text = words("critical.withdrawn")
    reason = concept(REASONS, "result-corrected", text)
    payload = [{"contentString": text}, *resource.get("payload", [])]
    return {**resource, "status": WITHDRAWN, "statusReason": reason, "payload": payload}


def readers(resource: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return who read a Communication, and when: display and FHIR instant."""
    found: list[tuple[str, str]] = []
    for each in resource.get("extension", []):
        if who := _who(each):
            at = next(e["valueDateTime"] for e in each["extension"] if e["url"] == "time")
            found.append((_display(each) or str(who.get("reference", "")), at))
    return found


def text_of(resource: Mapping[str, Json]) -> str:
    """Return what a Communication says."""
    said = (each["contentString"] for each in resource["payload"] if "contentString" in each)
    return next(said, "")


def flag_of(resource: Mapping[str, Json]) -> str:
    """Return LL, HH or AA."""
    for each in resource.get("extension", []):
        if each["url"] == f"{EXTENSION}critical-result":
            return str(next(e["valueCode"] for e in each["extension"] if e["url"] == "flag"))
    return "AA"


def _coded(said: Statement) -> Resource:
    inner: list[Resource] = [{"url": "flag", "valueCode": said.flag}]
    for name in ("name", "value", "limit", "source"):
        if value := getattr(said, name):
            inner.append({"url": name, "valueString": value})
    return {"url": f"{EXTENSION}critical-result", "extension": inner}


def labels(identity: Identity) -> list[Resource]:
    """Return the labels: made by rules, and those that restrict what it is made from."""
    made: list[Resource] = [
        {"system": LABELS, "code": "AIAST", "display": "Artificial Intelligence asserted"}
    ]
    for source in (identity.patient, identity.service_request, *identity.imaging_studies):
        made += [dict(label) for label in match.labels(source) if dict(label) not in made]
    return made


def requester(order: Mapping[str, Json]) -> Resource | None:
    """Return who ordered it, where a Communication may be for them."""
    found = order.get("requester")
    if not isinstance(found, Mapping):
        return None
    kind = str(found.get("reference") or "").partition("/")[0] or found.get("type")
    return dict(found) if kind in RECIPIENTS else None


def concept(system: str, code: str, display: str) -> Resource:
    """Return a CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _shown(reader: Reader) -> Resource:
    return {**reader.reference, **({"display": reader.display} if reader.display else {})}


def _who(extension: Mapping[str, Json]) -> Resource:
    """Return the reference of an acknowledgement, without its display; {} for another one."""
    if extension["url"] != f"{EXTENSION}acknowledgement":
        return {}
    who = next(e["valueReference"] for e in extension["extension"] if e["url"] == "who")
    return {name: value for name, value in who.items() if name != "display"}


def _display(extension: Mapping[str, Json]) -> str:
    who = next(e["valueReference"] for e in extension["extension"] if e["url"] == "who")
    return str(who.get("display", ""))


def _same(recipient: Mapping[str, Json], reader: Reader) -> bool:
    return {k: v for k, v in recipient.items() if k != "display"} == dict(reader.reference)
