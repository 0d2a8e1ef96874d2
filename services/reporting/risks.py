"""Risks of the laboratory part: an Observation each, and what says the same to programs.

The Observation needs a physician's verdict and stands in the report. A condition that results
make likely is a RiskAssessment beside it; a danger, a doubtful specimen or two rules that
contradict each other are a DetectedIssue. Both rest on the Observation and on the evidence.
A RiskAssessment has no prediction: R4's ras-2, as validators read it, then asks for a probability,
and no rule invents one.

Source: R4 RiskAssessment, DetectedIssue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.ucum import written
from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import Json, text
from services.reporting.lab_names import item
from services.reporting.words import listed, say

SYSTEM = "urn:dxmesh:risk"
SHOWN_MAX = 8
"""Lines of the conclusion; the others are in the list of risks."""
VALUES_MAX = 3
"""Values named before a sentence that has none; the evidence has all."""
SEVERITY = {pb.RISK_PRIORITY_URGENT: "high", pb.RISK_PRIORITY_IMPORTANT: "moderate"}


def compose(
    draft: Draft, part: Part, found: pb.LabFindings, made: Mapping[str, Json], topic: Topic
) -> None:
    """Add the risks of a part, most pressing first; `made` maps a result's id to a Reference."""
    risks = sorted(found.risks, key=lambda risk: risk.priority or pb.RISK_PRIORITY_ROUTINE)
    sentences = {risk.risk_id: _sentence(draft, risk, found) for risk in risks}
    places: dict[str, Json] = {}
    for risk in risks:
        evidence = [made[each] for each in risk.evidence_ids if each in made]
        observation = _observation(draft, part, risk, evidence, sentences)
        places[risk.risk_id] = topic.add(observation)
        basis = [places[risk.risk_id], *evidence]
        if risk.kind == pb.RISK_KIND_RISK:
            topic.statements.append(_assessment(draft, part, risk, basis, sentences))
        elif risk.kind == pb.RISK_KIND_ISSUE:
            topic.statements.append(_issue(draft, part, risk, basis, sentences))
    topic.statements += _contradictions(draft, part, risks, places, sentences)
    topic.conclusion += [_line(draft, risk, sentences) for risk in risks[:SHOWN_MAX]]
    if len(risks) > SHOWN_MAX:
        topic.conclusion.append(say(draft.language, "risk-more", count=len(risks) - SHOWN_MAX))


def _observation(
    draft: Draft, part: Part, risk: pb.Risk, evidence: list[Json], sentences: Mapping[str, str]
) -> Json:
    made = draft.observation(part, f"risk-{risk.risk_id}", "category-laboratory", review=True)
    made["code"] = _code(draft, risk)
    made["valueString"] = sentences[risk.risk_id]
    if risk.source:
        made["method"] = {"text": text(risk.source)}
    if evidence:
        made["derivedFrom"] = evidence
    notes = _notes(draft, risk, sentences)
    if notes:
        made["note"] = [{"text": note} for note in notes]
    components = _components(draft, risk)
    if components:
        made["component"] = components
    return made


def _components(draft: Draft, risk: pb.Risk) -> list[Json]:
    """Return priority and strength of evidence, where the rule states them."""
    return [
        {
            "code": {
                "coding": [{"system": codes.COMPONENTS, "code": name}],
                "text": say(draft.language, name),
            },
            "valueCodeableConcept": {
                "coding": [{"system": codes.VALUES, "code": value}],
                "text": say(draft.language, value),
            },
        }
        for name, number in (("risk-priority", risk.priority), ("risk-strength", risk.strength))
        if number and (value := f"{name}-{number}")
    ]


def _notes(draft: Draft, risk: pb.Risk, sentences: Mapping[str, str]) -> list[str]:
    language = draft.language
    others = [sentences[other] for other in risk.contradicts if other in sentences]
    lines = [say(language, "risk-contradicts", sentence=each) for each in others]
    lines += [say(language, "risk-against", sentence=each) for each in _against(draft, risk)]
    if following := _next(draft, risk):
        lines.append(say(language, "risk-next", sentence=following))
    if risk.strength:
        strength = say(language, f"risk-strength-{risk.strength}")
        lines.append(say(language, "risk-evidence", strength=strength))
    return lines


def _assessment(
    draft: Draft, part: Part, risk: pb.Risk, basis: list[Json], sentences: Mapping[str, str]
) -> Json:
    made = _statement(draft, part, "RiskAssessment", f"assessment-{risk.risk_id}")
    made |= {"subject": draft.patient, "code": _code(draft, risk), "basis": basis}
    against = [say(draft.language, "risk-against", sentence=each) for each in _against(draft, risk)]
    made["note"] = [{"text": each} for each in (sentences[risk.risk_id], *against)]
    if risk.source:
        made["method"] = {"text": text(risk.source)}
    if following := _next(draft, risk):
        made["mitigation"] = following
    return made


def _issue(
    draft: Draft, part: Part, risk: pb.Risk, basis: list[Json], sentences: Mapping[str, str]
) -> Json:
    made = _statement(draft, part, "DetectedIssue", f"issue-{risk.risk_id}")
    made |= {
        "code": _code(draft, risk),
        "severity": SEVERITY.get(risk.priority, "low"),
        "patient": draft.patient,
        "implicated": basis[:1],
        "detail": sentences[risk.risk_id],
    }
    if basis[1:]:
        made["evidence"] = [{"detail": basis[1:]}]
    if risk.source_url:
        made["reference"] = risk.source_url
    if following := _next(draft, risk):
        made["mitigation"] = [{"action": {"text": following}}]
    return made


def _contradictions(
    draft: Draft,
    part: Part,
    risks: Sequence[pb.Risk],
    places: Mapping[str, Json],
    sentences: Mapping[str, str],
) -> list[Json]:
    """Return one DetectedIssue for each pair of rules that say the opposite."""
    pairs = sorted(
        {
            tuple(sorted((risk.risk_id, other)))
            for risk in risks
            for other in risk.contradicts
            if other in places
        }
    )
    issues = []
    for one, other in pairs:
        made = _statement(draft, part, "DetectedIssue", f"contradiction-{one}-{other}")
        made |= {
            "code": {"text": say(draft.language, "risk-contradiction")},
            "severity": "moderate",
            "patient": draft.patient,
            "implicated": [places[one], places[other]],
            "detail": f"{sentences[one]} {sentences[other]}",
        }
        issues.append(made)
    return issues


def _statement(draft: Draft, part: Part, kind: str, local: str) -> Json:
    return {
        "resourceType": kind,
        "id": draft.id(part.part_id, local),
        "meta": {"security": [codes.coding("aiast")]},
        "status": "preliminary",
    }


def _code(draft: Draft, risk: pb.Risk) -> Json:
    codings = [{"system": SYSTEM, "code": risk.risk_id}]
    if risk.snomed_code:
        codings.append({"system": codes.SNOMED, "code": risk.snomed_code})
    return {"coding": codings, "text": say(draft.language, "risk-name")}


def _against(draft: Draft, risk: pb.Risk) -> list[str]:
    chinese = draft.language == "zh"
    found = [written(text(e.text_zh if chinese else e.text_en)) for e in risk.against]
    return [each for each in found if each]


def _next(draft: Draft, risk: pb.Risk) -> str:
    return written(text(risk.next_zh if draft.language == "zh" else risk.next_en))


def _sentence(draft: Draft, risk: pb.Risk, found: pb.LabFindings) -> str:
    """Return what a rule says; where it names no value of the patient, the results first."""
    chinese = draft.language == "zh"
    said = written(text(risk.text_zh if chinese else risk.text_en)) or risk.risk_id
    evidence = [each for each in found.results if each.observation_id in risk.evidence_ids]
    values = {value for each in evidence for value in (each.value_text, each.canonical_value)}
    values |= {each.value for each in found.scores if each.score_id in risk.evidence_ids}
    if not evidence or any(_names(said, text(value)) for value in values):
        return said
    evidence.sort(key=lambda result: result.flag <= pb.FLAG_NORMAL)
    shown = listed(draft.language, [item(draft.language, each) for each in evidence[:VALUES_MAX]])
    return say(draft.language, "risk-of", values=shown, sentence=said)


def _names(said: str, value: str) -> bool:
    """Tell whether a sentence holds a value, not only as a part of another number."""
    return bool(value) and bool(re.search(rf"(?<![0-9.]){re.escape(value)}(?![0-9]|\.[0-9])", said))


def _line(draft: Draft, risk: pb.Risk, sentences: Mapping[str, str]) -> str:
    """Return a risk's line of the conclusion, with what the results themselves say against it."""
    line = say(draft.language, "risk-line", sentence=sentences[risk.risk_id])
    shown = [each for each in risk.against if each.evidence_ids][:1]
    against = [text(e.text_zh if draft.language == "zh" else e.text_en) for e in shown]
    if not against or not against[0]:
        return line
    return say(draft.language, "risk-line-but", line=line, against=written(against[0]))
