"""The signed report as an EHR can keep it: its own patient and order, nothing left dangling. Pure.

The EHR knows its own resources by the ids it sent, and none of ours. So a reference to what
the EHR sent stays, what is ours travels inside the report (contained) or beside it in one
transaction, and a reference to anything else is left out. The PDF is inline.

Source: R4 DomainResource dom-2 to dom-5 (contained resources), DiagnosticReport, Attachment.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

CASES = "urn:dxmesh:case"
OBSERVATIONS = "urn:dxmesh:observation"
"""Identifier systems under which a case's report and its Observations are known at the EHR."""
CONTAINABLE = frozenset(
    {"Observation", "Device", "Practitioner", "RiskAssessment", "BodyStructure"}
)
DEPTH_MAX = 8
DROP = object()


@dataclass(frozen=True, slots=True)
class Signed:
    """What the gateway has of a signed case."""

    case_id: str
    report: Mapping[str, Any]
    resources: Mapping[str, Mapping[str, Any]]
    """"Type/id" → resource, everything of the case."""
    pdf: bytes


@dataclass(frozen=True, slots=True)
class Home:
    """Whom and what the report is about at the EHR."""

    patient: str
    encounter: str
    sent: Collection[str]
    """"Type/id" of what the EHR has itself."""
    signers: Mapping[str, str]
    """Practitioner id here → fhirUser at the EHR."""


def contained(signed: Signed, home: Home) -> Json:
    """Return the DiagnosticReport with everything of ours inside it."""
    inside: dict[str, Json] = {}
    report = _Writer(signed, home, inside, lambda key: None).resource(signed.report)
    report = _finished(report, signed, home)
    if inside:
        report["contained"] = list(inside.values())
    return report


def transaction(signed: Signed, home: Home, known: str = "", version: str = "") -> Json:
    """Return a transaction of the report and its Observations, each with Devices inside.

    Every Observation of the case is in it, so that one the physician rejected after an
    earlier signature becomes `entered-in-error` at the EHR too.

    Parameters
    ----------
    known, version : id and version of the report at the EHR; empty: it is not there yet
    """
    apart = {
        key: f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{CASES}|{signed.case_id}/{key}')}"
        for key in signed.resources
        if key.startswith("Observation/") and key not in home.sent
    }
    entries: list[Json] = []
    for key, full in apart.items():
        inside: dict[str, Json] = {}
        observation = _Writer(signed, home, inside, apart.get).resource(signed.resources[key])
        number = f"{signed.case_id}/{key.partition('/')[2]}"
        observation["identifier"] = [{"system": OBSERVATIONS, "value": number}]
        if inside:
            observation["contained"] = list(inside.values())
        url = f"Observation?identifier={OBSERVATIONS}|{number}"
        entries.append(
            {"fullUrl": full, "resource": observation, "request": {"method": "PUT", "url": url}}
        )
    inside = {}
    report = _Writer(signed, home, inside, apart.get).resource(signed.report)
    report = _finished(report, signed, home)
    if inside:
        report["contained"] = list(inside.values())
    request: Json = {"method": "POST", "url": "DiagnosticReport"}
    if known:
        report["id"] = known
        request = {"method": "PUT", "url": f"DiagnosticReport/{known}"}
        request |= {"ifMatch": f'W/"{version}"'} if version else {}
    else:
        request["ifNoneExist"] = f"identifier={CASES}|{signed.case_id}"
    full = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{CASES}|{signed.case_id}')}"
    entries.append({"fullUrl": full, "resource": report, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class _Writer:
    """Rewrites one resource; what it refers to of ours is put inside, once."""

    def __init__(
        self,
        signed: Signed,
        home: Home,
        inside: dict[str, Json],
        apart: Callable[[str], str | None],
    ) -> None:
        self._signed = signed
        self._home = home
        self._inside = inside
        self._apart = apart
        self._subject = str(signed.report.get("subject", {}).get("reference", ""))

    def resource(self, resource: Mapping[str, Any], depth: int = 0) -> Json:
        """Return a resource as the EHR gets it, without id and version."""
        left_out = {"id", "contained"} | ({"media", "presentedForm"} if not depth else set())
        rewritten = {
            name: value
            for name, item in resource.items()
            if name not in left_out and (value := self._value(item, depth)) is not DROP
        }
        meta = resource.get("meta", {})
        # Not the profiles: they are ours, and this is no longer the report they describe.
        kept = {n: meta[n] for n in ("security", "tag") if n in meta} if not depth else {}
        rewritten.pop("meta", None)
        return rewritten | ({"meta": kept} if kept else {})

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, list):
            items = [item for v in value if (item := self._value(v, depth)) is not DROP]
            return items if items or not value else DROP
        return value

    def _object(self, value: Mapping[str, Any], depth: int) -> Any:
        if isinstance(value.get("reference"), str):
            return self._reference(value, depth)
        members = {
            name: item for name, v in value.items() if (item := self._value(v, depth)) is not DROP
        }
        if not members or (len(members) < len(value) and members.keys() <= {"url", "id"}):
            return DROP
        return members

    def _reference(self, value: Mapping[str, Any], depth: int) -> Any:
        key = str(value["reference"]).partition("/_history/")[0]
        kept = {name: item for name, item in value.items() if name in ("type", "display")}
        if place := self._place(key, depth):
            return {**kept, "reference": place}
        if "identifier" in value:
            return {**kept, "identifier": value["identifier"]}
        return {"display": kept["display"]} if kept.get("display") else DROP

    def _place(self, key: str, depth: int) -> str:
        """Return where the EHR finds what a reference means; empty: nowhere."""
        home = self._home
        kind, _, number = key.partition("/")
        if key in (self._subject, f"Patient/{home.patient}"):
            return f"Patient/{home.patient}"
        if kind == "Practitioner" and number in home.signers:
            return home.signers[number]
        if key in home.sent:
            return key
        if full := self._apart(key):
            return full
        found = self._signed.resources.get(key)
        if kind not in CONTAINABLE or found is None or depth >= DEPTH_MAX:
            return ""
        if key not in self._inside:
            self._inside[key] = {}  # taken, before what it refers to is looked at
            body = self.resource(found, depth + 1)
            self._inside[key] = {"resourceType": kind, "id": _local(key)} | body
        return f"#{_local(key)}"


def _finished(report: Json, signed: Signed, home: Home) -> Json:
    others = [i for i in report.get("identifier", []) if i.get("system") != CASES]
    report["identifier"] = [{"system": CASES, "value": signed.case_id}, *others]
    report["subject"] = {"reference": f"Patient/{home.patient}"}
    if home.encounter:
        report["encounter"] = {"reference": f"Encounter/{home.encounter}"}
    if signed.pdf:
        form: Json = {
            "contentType": "application/pdf",
            "data": base64.b64encode(signed.pdf).decode(),
            "size": len(signed.pdf),
            # R4 attachments carry SHA-1: a checksum, not a protection.
            "hash": base64.b64encode(
                hashlib.sha1(signed.pdf, usedforsecurity=False).digest()
            ).decode(),
            "title": str(report.get("code", {}).get("text", "")) or "Report",
        }
        if report.get("language"):
            form["language"] = report["language"]
        report["presentedForm"] = [form]
    return report


def _local(key: str) -> str:
    kind, _, number = key.partition("/")
    return f"{kind[:3].lower()}-{number}"[:64]
