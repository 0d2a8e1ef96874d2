"""A labs part interpreted, as the message the report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.errors import MeshError
from services.labs import critical
from services.labs.interpret import Flag, Result, interpret, show
from services.labs.notices import Notice, notices, retracted
from services.labs.panel import LabPart, Quantity
from services.labs.rules import engine
from services.labs.scores import message as score_message
from services.labs.scores.engine import assess

FLAGS = {
    Flag.NORMAL: pb.FLAG_NORMAL,
    Flag.LOW: pb.FLAG_LOW,
    Flag.HIGH: pb.FLAG_HIGH,
    Flag.CRITICAL_LOW: pb.FLAG_CRITICAL_LOW,
    Flag.CRITICAL_HIGH: pb.FLAG_CRITICAL_HIGH,
    Flag.ABNORMAL: pb.FLAG_ABNORMAL,
}
KINDS = {
    "finding": pb.RISK_KIND_FINDING,
    "risk": pb.RISK_KIND_RISK,
    "issue": pb.RISK_KIND_ISSUE,
}
PRIORITIES = {
    "urgent": pb.RISK_PRIORITY_URGENT,
    "important": pb.RISK_PRIORITY_IMPORTANT,
    "routine": pb.RISK_PRIORITY_ROUTINE,
}
STRENGTHS = {
    "definition": pb.EVIDENCE_STRENGTH_DEFINITION,
    "strong": pb.EVIDENCE_STRENGTH_STRONG,
    "moderate": pb.EVIDENCE_STRENGTH_MODERATE,
    "weak": pb.EVIDENCE_STRENGTH_WEAK,
}


@dataclass(frozen=True, slots=True)
class Interpreted:
    """A part as the report gets it, and what of it is told ahead of the report."""

    findings: pb.LabFindings
    notices: Sequence[Notice]
    retracted: Sequence[str]
    """Ids of results that were changed or taken back and are not critical (any more)."""


def findings(
    part: LabPart,
    table: critical.Table = critical.DEFAULTS,
    rules: engine.RuleSet | None = None,
) -> pb.LabFindings:
    """Return results, scores and risks of a part; every item that came in is in `results`.

    Parameters
    ----------
    rules : with a tenant's thresholds; None: the built-in ones
    """
    return interpreted(part, table, rules).findings


def interpreted(
    part: LabPart,
    table: critical.Table = critical.DEFAULTS,
    rules: engine.RuleSet | None = None,
    earlier: critical.Earlier | None = None,
) -> Interpreted:
    """Return a part's findings with the critical results that are told at once; see `findings`.

    Parameters
    ----------
    earlier : the person's results before this part; None: they are not known
    """
    results = interpret(part.measured, part.subject, table)
    computed = assess(results, part.subject)
    found = (rules or engine.default()).find(results, computed, part.subject)
    message = pb.LabFindings(
        results=[_result(each) for each in results],
        scores=[score_message.score(each) for each in computed if each.listed],
        risks=[_risk(each) for each in found],
    )
    told = notices(results, part.subject, table, earlier)
    return Interpreted(message, told, retracted(results))


def _result(result: Result) -> pb.LabResult:
    item, analyte = result.measured, result.analyte or result.test
    quantity, limits = item.quantity, result.range
    message = pb.LabResult(
        observation_id=item.observation_id,
        loinc_code=_loinc(result),
        display_en=analyte.name_en if analyte else "",
        display_zh=analyte.name_zh if analyte else "",
        source_display=item.display,
        value_text=_as_it_came(quantity) if quantity else item.text,
        unit_text=(quantity.unit or quantity.code) if quantity else "",
        canonical_value=result.shown,
        canonical_unit=result.analyte.unit.ucum if result.analyte and result.shown else "",
        flag=FLAGS[result.flag] if result.flag else pb.FLAG_UNSPECIFIED,
        range_low=_limit(limits.low) if limits else "",
        range_high=_limit(limits.high) if limits else "",
        range_source=limits.source if limits else "",
        critical_source=result.critical_source,
        effective_time=item.effective,
    )
    if result.reason:
        message.not_interpreted.CopyFrom(_refusal(result.reason))
    return message


def _loinc(result: Result) -> str:
    if result.code:
        return result.code.loinc
    return next((each for each in result.measured.loinc), "") if result.test else ""


def _risk(risk: engine.Risk) -> pb.Risk:
    return pb.Risk(
        risk_id=risk.risk_id,
        text_en=risk.text_en,
        text_zh=risk.text_zh,
        evidence_ids=risk.evidence_ids,
        source=risk.source,
        source_url=risk.source_url,
        kind=KINDS[risk.kind],
        priority=PRIORITIES[risk.priority],
        strength=STRENGTHS[risk.strength],
        topic=risk.topic,
        against=[
            pb.Counterpoint(
                text_en=each.text_en, text_zh=each.text_zh, evidence_ids=each.evidence_ids
            )
            for each in risk.against
        ],
        next_en=risk.next_en,
        next_zh=risk.next_zh,
        contradicts=risk.contradicts,
    )


def _refusal(error: MeshError) -> Refusal:
    return Refusal(reason=error.reason, message=error.message, facts=error.facts)


def _as_it_came(quantity: Quantity) -> str:
    return f"{quantity.comparator}{quantity.written}"


def _limit(value: Decimal | None) -> str:
    return "" if value is None else show(value, len(value.as_tuple().digits))
