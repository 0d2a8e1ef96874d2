"""What a physician's signature makes of a composed report. Pure.

The DiagnosticReport becomes `final` (`amended` when one was signed before) with the
physician as interpreter and the label CLINAST (clinician asserted) in place of AIAST. Each
finding follows its verdict: agreed and corrected ones are asserted by the clinician; one the
physician disagrees with becomes `entered-in-error`, leaves the report's results, and stays
readable. A Provenance names the physician as verifier.

Source: R4 DiagnosticReport.status; HL7 AI Transparency on FHIR; v3-ObservationValue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway import added

Json = Any
Resource = dict[str, Json]

LABELS = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
AI_ASSERTED, CLINICIAN_ASSERTED = "AIAST", "CLINAST"
PROFILES = "urn:dxmesh:fhir:StructureDefinition:"
PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
REVIEW_TAG = ("urn:dxmesh:review", "finding")
"""Tag of a resource that needs a verdict."""
STATEMENTS = frozenset(("RiskAssessment", "DetectedIssue"))
"""What rests on Observations and has no verdict of its own."""
AGREE, DISAGREE, EDIT = "agree", "disagree", "edit"
VERDICTS = (AGREE, DISAGREE, EDIT)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, when, and what they said."""

    practitioner_id: str
    display: str
    identifier: str
    """Of the person, "system|value"; may be empty."""
    signed_at: str
    """FHIR instant."""
    amendment: bool
    language: str
    """zh or en: the language of what is added to the conclusion."""
    comment: str
    verdicts: Mapping[str, tuple[str, str]]
    """Finding id → verdict, correction."""
    added: Sequence[Mapping[str, Json]] = ()
    """Findings that the physician added: id, kind, text, marking."""


_TEXTS = {
    "en": {
        "head": "Made with artificial intelligence; reviewed and signed by {name}, {time}.",
        "disagree": "The physician does not agree with: {finding}.",
        "edit": "The physician corrects “{finding}”: {correction}",
        "comment": "Comment: {comment}",
        "note": "Physician's correction: {correction}",
        "rejected": "The reviewing physician does not agree with this AI finding.",
    },
    "zh": {
        "head": "本报告由人工智能辅助生成，经 {name} 审核并签署（{time}）。",
        "disagree": "医师不同意：{finding}。",
        "edit": "医师更正“{finding}”：{correction}",
        "comment": "备注：{comment}",
        "note": "医师更正：{correction}",
        "rejected": "审核医师不同意该 AI 所见。",
    },
}


def sign(bundle: Mapping[str, Json], signature: Signature, findings: Mapping[str, str]) -> Resource:
    """Return the Bundle as signed.

    Parameters
    ----------
    findings : finding id → its text, for the review's part of the conclusion
    """
    refused = [r for r in _resources(bundle) if _verdict(r, signature)[0] == DISAGREE]
    rejected = {f"{r['resourceType']}/{r['id']}" for r in refused}
    # Codes of the conclusion count the coded findings: of one that is refused they say too much.
    codes_hold = not any("valueCodeableConcept" in r for r in refused)
    entries: list[Json] = []
    report_id, new = "", []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "DiagnosticReport":
            report_id = str(resource["id"])
            new = _added(resource, signature)
            resource = _report(resource, signature, findings, rejected, codes_hold=codes_hold)
        elif resource["resourceType"] == "Observation":
            resource = _observation(resource, signature)
        elif resource["resourceType"] in STATEMENTS:
            resource = _statement(resource, rejected)
        elif resource["resourceType"] == "FamilyMemberHistory":  # partial, signed or not
            resource = {**resource, "meta": _relabelled(resource["meta"])}
        entries.append({**entry, "resource": resource})
    entries += [{"resource": one} for one in new]
    entries.append({"resource": practitioner(signature)})
    entries.append({"resource": _provenance(report_id, signature)})
    return {**bundle, "entry": entries}


def practitioner(signature: Signature) -> Resource:
    """Return the physician."""
    resource: Resource = {
        "resourceType": "Practitioner",
        "id": signature.practitioner_id,
        "name": [{"text": signature.display}],
    }
    system, _, value = signature.identifier.rpartition("|")
    if value:
        resource["identifier"] = [
            {"system": system, "value": value} if system else {"value": value}
        ]
    return resource


def finding_id(resource: Mapping[str, Json]) -> str:
    """Return the id a verdict refers to; empty for what needs no verdict."""
    tags = [(t.get("system"), t.get("code")) for t in resource.get("meta", {}).get("tag", [])]
    return str(resource["id"]) if REVIEW_TAG in tags else ""


def _report(
    report: Mapping[str, Json],
    signature: Signature,
    findings: Mapping[str, str],
    rejected: set[str],
    *,
    codes_hold: bool,
) -> Resource:
    results = [r for r in report.get("result", []) if r.get("reference") not in rejected]
    results += [{"reference": f"Observation/{one['id']}"} for one in _added(report, signature)]
    signed = {
        **report,
        "meta": {**_relabelled(report.get("meta", {})), "profile": [PROFILES + "report-signed"]},
        "status": "amended" if signature.amendment else "final",
        "issued": signature.signed_at,
        "resultsInterpreter": [_who(signature)],
        "conclusion": _conclusion(str(report.get("conclusion", "")), signature, findings),
    }
    signed.pop("result", None)
    if not codes_hold:
        signed.pop("conclusionCode", None)
    return signed | ({"result": results} if results else {})


def _conclusion(text: str, signature: Signature, findings: Mapping[str, str]) -> str:
    """Return the conclusion with the review in place of its first line.

    That line says that no physician has read the report (docs/report.md); a reader must meet
    what the physician corrected before what was composed.
    """
    words = _TEXTS.get(signature.language, _TEXTS["en"])
    lines = [words["head"].format(name=signature.display, time=signature.signed_at)]
    for key, (verdict, correction) in signature.verdicts.items():
        finding = findings.get(key, key)
        if verdict == DISAGREE:
            lines.append(words["disagree"].format(finding=finding))
        elif verdict == EDIT:
            lines.append(words["edit"].format(finding=finding, correction=correction))
    lines += [added.line(entry, signature.language) for entry in signature.added]
    if signature.comment:
        lines.append(words["comment"].format(comment=signature.comment))
    return "\n".join([*lines, *text.split("\n")[1:]])


def _added(report: Mapping[str, Json], signature: Signature) -> list[Resource]:
    who, at = _who(signature), signature.signed_at
    made = added.observations(signature.added, report, who, at, signature.language)
    return [{**one, "meta": _relabelled({})} for one in made]


def _observation(observation: Mapping[str, Json], signature: Signature) -> Resource:
    verdict, correction = _verdict(observation, signature)
    if not verdict:  # no finding of its own: final with the report, still the AI's words
        return {**observation, "status": "final"}
    words = _TEXTS.get(signature.language, _TEXTS["en"])
    signed = dict(observation)
    notes: Sequence[Json] = observation.get("note", [])
    by = {"authorReference": _who(signature), "time": signature.signed_at}
    if verdict == DISAGREE:
        signed["status"] = "entered-in-error"
        signed["note"] = [*notes, {**by, "text": words["rejected"]}]
        return signed
    signed["status"] = "amended" if verdict == EDIT else "final"
    signed["meta"] = _relabelled(observation.get("meta", {}))
    if verdict == EDIT:
        signed["note"] = [*notes, {**by, "text": words["note"].format(correction=correction)}]
    return signed


def _statement(resource: Mapping[str, Json], rejected: set[str]) -> Resource:
    """Return a RiskAssessment or DetectedIssue: it falls with an Observation it rests on."""
    evidence = [each for shown in resource.get("evidence", []) for each in shown.get("detail", [])]
    rests = [*resource.get("basis", []), *resource.get("implicated", []), *evidence]
    fallen = any(each.get("reference") in rejected for each in rests)
    return {**resource, "status": "entered-in-error" if fallen else "final"}


def _verdict(resource: Mapping[str, Json], signature: Signature) -> tuple[str, str]:
    return signature.verdicts.get(finding_id(resource), ("", ""))


def _provenance(report_id: str, signature: Signature) -> Resource:
    verifier = {"system": PARTICIPANTS, "code": "verifier", "display": "Verifier"}
    return {
        "resourceType": "Provenance",
        "id": f"{report_id}-signature",
        "meta": {"profile": [PROFILES + "signature"]},
        "target": [{"reference": f"DiagnosticReport/{report_id}"}],
        "recorded": signature.signed_at,
        "reason": [{"coding": [{"system": LABELS, "code": CLINICIAN_ASSERTED}]}],
        "agent": [{"type": {"coding": [verifier]}, "who": _who(signature)}],
    }


def _relabelled(meta: Mapping[str, Json]) -> Resource:
    """Return meta with CLINAST in place of AIAST; other labels stay."""
    kept = [
        label
        for label in meta.get("security", [])
        if (label.get("system"), label.get("code")) != (LABELS, AI_ASSERTED)
    ]
    asserted = {"system": LABELS, "code": CLINICIAN_ASSERTED, "display": "clinician asserted"}
    return {**meta, "security": [*kept, asserted]}


def _who(signature: Signature) -> dict[str, str]:
    reference = f"Practitioner/{signature.practitioner_id}"
    return {"reference": reference, "display": signature.display}


def _resources(bundle: Mapping[str, Json]) -> list[Resource]:
    return [entry["resource"] for entry in bundle["entry"]]
