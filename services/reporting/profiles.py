"""Which profile each resource of a report claims in `meta.profile` (docs/profiles.md)."""

from __future__ import annotations

from services.reporting import codes
from services.reporting.elements import EXTENSION, Json
from services.reporting.note_elements import ENTITIES
from services.reporting.suggestions.observations import INSUFFICIENT
from services.reporting.suggestions.observations import SYSTEM as SUGGESTIONS

NOT_DETECTED, PRESENT = "260415000", "52101004"
RISKS = "urn:dxmesh:risk"
RECONCILIATION = "urn:dxmesh:reconciliation"
_NOTED = {"summary": "note-summary", "measurement": "stated-value"}
_BY_TYPE = {
    "DiagnosticReport": "report-unreviewed",
    "Media": "key-image",
    "Device": "model",
    "Provenance": "provenance",
    "RiskAssessment": "risk-assessment",
    "DetectedIssue": "issue",
    "FamilyMemberHistory": "family-history",
}


def claimed(resource: Json) -> Json:
    """Return the resource with the profile it is made to; a Binary has none."""
    name = _BY_TYPE.get(resource["resourceType"])
    if resource["resourceType"] == "Observation":
        name = _of_observation(resource)
    if resource["resourceType"] == "DocumentReference":
        name = "derived-object" if "masterIdentifier" in resource else "note"
    if name is None:
        return resource
    meta = {"profile": [EXTENSION + name], **resource.get("meta", {})}
    head = {key: resource[key] for key in ("resourceType", "id")}
    return {**head, "meta": meta, **{k: v for k, v in resource.items() if k not in (*head, "meta")}}


def _of_observation(observation: Json) -> str:
    """Return the kind of an Observation, told as docs/report.md says."""
    category = observation["category"][0]["coding"][0]["code"]
    codings = observation["code"].get("coding", [])
    if category == "imaging":
        value = observation.get("valueCodeableConcept", {}).get("coding", [{}])[0].get("code")
        if value == NOT_DETECTED:
            return "none-found"
        is_answer = value == PRESENT or "dataAbsentReason" in observation
        return "series-answer" if is_answer else "finding"
    if any(coding["system"] == ENTITIES for coding in codings):
        return _NOTED.get(codings[0]["code"], "mention")
    if any(coding["system"] == RISKS for coding in codings):
        return "risk"
    if any(coding["system"] == SUGGESTIONS for coding in codings):
        scarce = any(coding["code"] == INSUFFICIENT for coding in codings)
        return "suggestions-insufficient" if scarce else "suggestion"
    if any(coding["system"] == RECONCILIATION for coding in codings):
        return "reconciliation"
    if category in codes.SIGNS:
        return "sign"
    sources = observation.get("derivedFrom", [])
    return "result" if any("identifier" in source for source in sources) else "score"
