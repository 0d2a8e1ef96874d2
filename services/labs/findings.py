"""A labs part interpreted, as the message the report is made from."""

from __future__ import annotations

from decimal import Decimal

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.errors import MeshError
from services.labs import assess, critical, risks
from services.labs.interpret import Flag, Result, interpret, show
from services.labs.panel import LabPart, Quantity

FLAGS = {
    Flag.NORMAL: pb.FLAG_NORMAL,
    Flag.LOW: pb.FLAG_LOW,
    Flag.HIGH: pb.FLAG_HIGH,
    Flag.CRITICAL_LOW: pb.FLAG_CRITICAL_LOW,
    Flag.CRITICAL_HIGH: pb.FLAG_CRITICAL_HIGH,
}


def findings(part: LabPart, table: critical.Table = critical.DEFAULTS) -> pb.LabFindings:
    """Return results, scores and risks of a part; every item that came in is in `results`."""
    results = interpret(part.measured, part.subject, table)
    computed = assess.assess(results, part.subject)
    return pb.LabFindings(
        results=[_result(each) for each in results],
        scores=[_score(each) for each in computed],
        risks=[
            pb.Risk(
                risk_id=risk.risk_id,
                text_en=risk.text_en,
                text_zh=risk.text_zh,
                evidence_ids=risk.evidence_ids,
                source=risk.source,
            )
            for risk in risks.find(results, computed, part.subject)
        ],
    )


def _result(result: Result) -> pb.LabResult:
    item, analyte = result.measured, result.analyte
    quantity, limits = item.quantity, result.range
    message = pb.LabResult(
        observation_id=item.observation_id,
        loinc_code=result.code.loinc if result.code else "",
        display_en=analyte.name_en if analyte else "",
        display_zh=analyte.name_zh if analyte else "",
        source_display=item.display,
        value_text=_as_it_came(quantity) if quantity else item.text,
        unit_text=(quantity.unit or quantity.code) if quantity else "",
        canonical_value=result.shown,
        canonical_unit=analyte.unit.ucum if analyte and result.shown else "",
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


def _score(score: assess.Score) -> pb.Score:
    message = pb.Score(
        score_id=score.score_id,
        loinc_code=score.loinc,
        display_en=score.name_en,
        display_zh=score.name_zh,
        value=score.shown,
        unit=score.unit,
        category_en=score.category[0],
        category_zh=score.category[1],
        source=score.source,
        inputs=[
            pb.ScoreInput(
                name=each.name,
                value=each.value,
                unit=each.unit,
                observation_id=each.observation_id,
            )
            for each in score.inputs
        ],
    )
    if score.reason:
        message.not_computed.CopyFrom(_refusal(score.reason))
    return message


def _refusal(error: MeshError) -> Refusal:
    return Refusal(reason=error.reason, message=error.message, facts=error.facts)


def _as_it_came(quantity: Quantity) -> str:
    return f"{quantity.comparator}{quantity.written}"


def _limit(value: Decimal | None) -> str:
    return "" if value is None else show(value, len(value.as_tuple().digits))
