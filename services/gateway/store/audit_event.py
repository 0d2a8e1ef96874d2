"""An AuditEvent from an entry of the journal. Pure.

Source: IHE Basic Audit Log Patterns (BALP) 1.1, the patterns of RESTful activity; DICOM
PS3.15 A.5; R4 auditevent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.progress import to_instant
from services.gateway.store.audit import SUCCESS, AuditEntry

Json = Any

BALP = "https://profiles.ihe.net/ITI/BALP/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
OURS = "urn:dxmesh:interaction"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE = {"system": DCM, "code": "110153", "display": "Source Role ID"}
DESTINATION = {"system": DCM, "code": "110152", "display": "Destination Role ID"}
_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?")
_REST = {"system": EVENT_TYPE, "code": "rest", "display": "RESTful Operation"}
_NAMES = {
    "110100": "Application Activity",
    "110106": "Export",
    "110107": "Import",
    "110112": "Query",
    "110104": "DICOM Instances Transferred",
    "110110": "Patient Record",
    "110114": "User Authentication",
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an interaction is called in an AuditEvent."""

    action: str
    """C, R, U, D or E (execute)."""
    pattern: str = ""
    """BALP's pattern; empty: it has none."""
    dicom: str = ""
    """DICOM audit event id; empty: a RESTful interaction of FHIR."""


_RESTFUL = {
    "read": _Kind("R", "Read"),
    "vread": _Kind("R", "Read"),
    "history-instance": _Kind("R"),
    "history-type": _Kind("R"),
    "history-system": _Kind("R"),
    "create": _Kind("C", "Create"),
    "update": _Kind("U", "Update"),
    "patch": _Kind("U", "Update"),
    "delete": _Kind("D", "Delete"),
    "search-type": _Kind("E", "Query"),
    "search-system": _Kind("E", "Query"),
    "capabilities": _Kind("E"),
    "transaction": _Kind("E"),
    "batch": _Kind("E"),
}
_OTHERS = {
    "submit": _Kind("C", dicom="110107"),
    "upload": _Kind("C", dicom="110107"),
    "dicom-query": _Kind("E", dicom="110112"),
    "dicom-retrieve": _Kind("R", dicom="110104"),
    "notify": _Kind("R", dicom="110106"),
    "export": _Kind("R", dicom="110106"),
    "view-case": _Kind("R", dicom="110110"),
    "worklist": _Kind("R", dicom="110110"),
    "sign": _Kind("U", dicom="110110"),
    "acknowledge": _Kind("U", dicom="110110"),
    "sign-in": _Kind("E", dicom="110114"),
    "sign-out": _Kind("E", dicom="110114"),
}
_SESSIONS = {"sign-in": ("110122", "Login"), "sign-out": ("110123", "Logout")}


def audit_event(entry: AuditEntry, patients: Sequence[str], server: str) -> dict[str, Json]:
    """Return the AuditEvent of an entry.

    Parameters
    ----------
    patients : references of the patients concerned
    server : address or name of the gateway
    """
    kind = _kind(entry.interaction)
    made: dict[str, Json] = {"resourceType": "AuditEvent", "id": entry.id}
    if profile := _profile(entry, kind, patients):
        made["meta"] = {"profile": [profile]}
    made |= {
        "type": _dicom(kind.dicom) if kind.dicom else _REST,
        "subtype": _subtypes(entry.interaction),
        "action": kind.action,
        "recorded": to_instant(entry.time_us),
        "outcome": entry.outcome,
    }
    if entry.reason:
        made["outcomeDesc"] = entry.reason
    made["purposeOfEvent"] = [_purpose(entry)]
    made["agent"] = _agents(entry, server, reading=kind.pattern == "Read")
    made["source"] = {
        "site": server,
        "observer": {"identifier": {"value": "dxmesh"}, "display": "dxmesh gateway"},
        "type": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                "code": "4",
                "display": "Application Server",
            }
        ],
    }
    if entities := _entities(entry, patients):
        made["entity"] = entities
    return made


def _kind(interaction: str) -> _Kind:
    if interaction.startswith("$export"):
        return _OTHERS["export"]
    if interaction.startswith("$"):
        return _Kind("E")
    return _RESTFUL.get(interaction) or _OTHERS.get(interaction) or _Kind("E", dicom="110100")


def _profile(entry: AuditEntry, kind: _Kind, patients: Sequence[str]) -> str:
    """Return BALP's profile; an interaction that failed, or has no pattern, has none."""
    if not kind.pattern or entry.outcome != SUCCESS:
        return ""
    if kind.pattern == "Query" and not entry.query:
        return ""
    if kind.pattern != "Query" and not _REFERENCE.fullmatch(entry.resource):
        return ""
    whose = "Patient" if len(patients) == 1 else ""
    return f"{BALP}StructureDefinition/IHE.BasicAudit.{whose}{kind.pattern}"


def _subtypes(interaction: str) -> list[Json]:
    if interaction in _RESTFUL:
        return [{"system": RESTFUL, "code": interaction, "display": interaction}]
    ours = {"system": OURS, "code": interaction.removeprefix("$")}
    if interaction.startswith("$"):
        return [{"system": RESTFUL, "code": "operation", "display": "operation"}, ours]
    if session := _SESSIONS.get(interaction):
        return [{"system": DCM, "code": session[0], "display": session[1]}, ours]
    return [ours]


def _agents(entry: AuditEntry, server: str, *, reading: bool) -> list[Json]:
    """Return client, server and, where a person asked, the person.

    Of a read the server is the source; of all else the client is (BALP, Read and Query).
    """
    is_person = bool(entry.practitioner) or bool(entry.client_id and entry.role == "physician")
    is_person = is_person or entry.role == "physician"
    client: dict[str, Json] = {
        "type": {"coding": [DESTINATION if reading else SOURCE]},
        "who": {"identifier": {"value": entry.client_id or entry.agent}},
        "requestor": not is_person,
    }
    if not is_person:
        client |= _role(entry)
    if entry.address:
        client["network"] = {"address": entry.address, "type": "2"}
    own: dict[str, Json] = {
        "type": {"coding": [SOURCE if reading else DESTINATION]},
        "who": {"identifier": {"value": "dxmesh"}, "display": "dxmesh gateway"},
        "requestor": False,
        "network": {"address": server, "type": "5" if "://" in server else "1"},
    }
    if not is_person:
        return [client, own]
    user: dict[str, Json] = {
        "type": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                    "code": "IRCP",
                    "display": "information recipient",
                }
            ]
        },
        "who": {"identifier": _person(entry)},
        "altId": entry.agent,
        "requestor": True,
        "purposeOfUse": [_purpose(entry)],
    }
    return [client, own, user | _role(entry)]


def _person(entry: AuditEntry) -> dict[str, str]:
    system, _, value = entry.practitioner.rpartition("|")
    if not value:
        return {"value": entry.agent}
    return {"system": system, "value": value} if system else {"value": value}


def _role(entry: AuditEntry) -> dict[str, Json]:
    return {"role": [{"coding": [{"system": "urn:dxmesh:role", "code": entry.role}]}]}


def _purpose(entry: AuditEntry) -> dict[str, Json]:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    return {"coding": [{"system": system, "code": entry.purpose}]}


def _entities(entry: AuditEntry, patients: Sequence[str]) -> list[Json]:
    entities: list[Json] = []
    for patient in patients:
        what = {"reference": patient}
        person = {"system": ENTITY_TYPE, "code": "1", "display": "Person"}
        role = {"system": ENTITY_ROLE, "code": "1", "display": "Patient"}
        entities.append({"what": what, "type": person, "role": role})
    shown = [entry.resource, *(one for one in entry.seen if one != entry.resource)]
    entities += [_data(name) for name in shown if "/" in name or ":" in name]
    if entry.query:
        encoded = base64.b64encode(entry.query.encode()).decode()
        role = {"system": ENTITY_ROLE, "code": "24", "display": "Query"}
        entities.append({"type": _system_object(), "role": role, "query": encoded})
    number = entry.request_id or entry.trace_id
    if number:
        entities.append(_transaction(BALP + "CodeSystem/BasicAuditEntityType", number))
    if entry.request_id and entry.trace_id:
        entities.append(_transaction("urn:dxmesh:trace", entry.trace_id))
    if entry.case_id and not entry.resource.startswith(f"Task/{entry.case_id}"):
        entities.append(_data(f"Task/{entry.case_id}"))
    return entities


def _data(name: str) -> dict[str, Json]:
    """Return an entity for a resource, or for something that has no address in FHIR."""
    is_reference = bool(_REFERENCE.fullmatch(name))
    what = {"reference": name} if is_reference else {"identifier": {"value": name}}
    role = {"system": ENTITY_ROLE, "code": "4", "display": "Domain Resource"}
    return {"what": what, "type": _system_object(), "role": role}


def _transaction(system: str, value: str) -> dict[str, Json]:
    kind = {"system": system, "code": "XrequestId" if system.startswith(BALP) else "trace-id"}
    return {"what": {"identifier": {"value": value}}, "type": kind}


def _system_object() -> dict[str, str]:
    return {"system": ENTITY_TYPE, "code": "2", "display": "System Object"}


def _dicom(code: str) -> dict[str, str]:
    return {"system": DCM, "code": code, "display": _NAMES[code]}
