"""A labs part interpreted, as the message the report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.errors import MeshError
from services.labs import comments, critical, own_flags, signs
from services.labs.history import facts as history
from services.labs.history import message as history_message
from services.labs.history.overtime import over_time
from services.labs.history.past import NOTHING, Past
from services.labs.history.rows import Place, Row, taken_back, to_keep
from services.labs.interpret import DEFAULT_SITE, Flag, Kind, Result, Site, interpret, show
from services.labs.interval import Interval
from services.labs.notices import Notice, notices, retracted
from services.labs.panel import Comment, LabPart, Measured
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
VALUE_KINDS = {
    Kind.NUMBER: pb.VALUE_KIND_NUMBER,
    Kind.LIMIT: pb.VALUE_KIND_LIMIT,
    Kind.RANGE: pb.VALUE_KIND_RANGE,
    Kind.TITRE: pb.VALUE_KIND_TITRE,
    Kind.ORDINAL: pb.VALUE_KIND_ORDINAL,
    Kind.CODED: pb.VALUE_KIND_CODED,
    Kind.TEXT: pb.VALUE_KIND_TEXT,
}
MATCHED = {
    "loinc": pb.MATCHED_BY_LOINC,
    "tenant": pb.MATCHED_BY_TENANT,
    "name": pb.MATCHED_BY_NAME,
}
STRENGTHS = {
    "definition": pb.EVIDENCE_STRENGTH_DEFINITION,
    "strong": pb.EVIDENCE_STRENGTH_STRONG,
    "moderate": pb.EVIDENCE_STRENGTH_MODERATE,
    "weak": pb.EVIDENCE_STRENGTH_WEAK,
}


@dataclass(frozen=True, slots=True)
class Keep:
    """What of a part is kept for the person's later ones."""

    rows: Sequence[Row]
    taken_back: Sequence[Place]


LIMIT_DIGITS = 5
"""Significant digits of a limit; one that was converted has as many as its factor."""


@dataclass(frozen=True, slots=True)
class Interpreted:
    """A part as the report gets it, and what of it is told ahead of the report."""

    findings: pb.LabFindings
    notices: Sequence[Notice]
    retracted: Sequence[str]
    """Ids of results that were changed or taken back: an earlier value holds no more."""
    keep: Keep


def findings(
    part: LabPart,
    table: critical.Table = critical.DEFAULTS,
    rules: engine.RuleSet | None = None,
    site: Site = DEFAULT_SITE,
    now: datetime | None = None,
) -> pb.LabFindings:
    """Return results, scores and risks of a part; every item that came in is in `results`.

    Parameters
    ----------
    rules : with a tenant's thresholds; None: the built-in ones
    site : what else a tenant has of its own
    now : when the part was received; None: nothing is judged by it
    """
    return interpreted(part, table, rules, site=site, now=now).findings


def interpreted(
    part: LabPart,
    table: critical.Table = critical.DEFAULTS,
    rules: engine.RuleSet | None = None,
    past: Past = NOTHING,
    *,
    site: Site = DEFAULT_SITE,
    now: datetime | None = None,
) -> Interpreted:
    """Return a part's findings with the critical results that are told at once; see `findings`.

    Parameters
    ----------
    past : the person's results from before this part
    """
    results = interpret(part.measured, part.subject, table, site, now)
    counting = [each for each in results if not each.in_future] if now else results
    kept = to_keep(counting)
    over = over_time(kept, past)
    computed = assess(counting, part.subject, history.into_scores(over))
    figures = history.figures(over, part.subject)
    ruled = rules or engine.default()
    earlier = history.into_rules(over, ruled.timed)
    found = ruled.find(counting, [*computed, *figures], part.subject, earlier)
    made: dict[str, Any] = {  # fields, not messages: those would be made, then copied
        "results": [_result(each) for each in results],
        "scores": [score_message.fields(each) for each in computed if each.listed],
        "risks": [_risk(each) for each in found],
        "comments": [_comment(each) for each in part.comments if each.text],
    }
    message = pb.LabFindings(**made)
    for each in message.results if over else ():
        if each.observation_id in over:
            history_message.add(each, over[each.observation_id])
    told = notices(results, part.subject, table, past)
    return Interpreted(message, told, retracted(results), Keep(kept, taken_back(results)))


def _result(result: Result) -> pb.LabResult | dict[str, Any]:
    """Return a result as the fields of its message, or as the message."""
    item, analyte = result.measured, result.analyte or result.test
    if category := signs.category_of(item):
        return signs.message(item, category)
    quantity, limits, interval = item.quantity, result.range, result.interval
    judged = bool(result.shown) and result.code is not None
    fields: dict[str, Any] = {
        "observation_id": item.observation_id,
        "source_display": item.display,
        "value_text": _as_it_came(item),
        "effective_time": item.effective,
        "specimen": item.specimen,
    }
    if analyte is not None:
        fields["loinc_code"] = _loinc(result)
        fields["display_en"] = analyte.name_en
        fields["display_zh"] = analyte.name_zh
        fields["analyte_id"] = analyte.analyte_id
        fields["matched_by"] = MATCHED.get(result.how, pb.MATCHED_BY_UNSPECIFIED)
    if quantity is not None:
        fields["unit_text"] = quantity.unit or quantity.code
    if judged and result.code is not None:
        fields["canonical_unit"] = result.code.analyte.unit.ucum
        if interval is None:
            fields["canonical_value"] = result.shown
        else:
            fields["comparator"] = "" if result.kind is Kind.RANGE else _comparator(interval)
            fields["canonical_low"] = _limit(interval.low)
            fields["canonical_high"] = _limit(interval.high)
    if limits is not None:
        fields["range_low"], fields["range_high"] = _limit(limits.low), _limit(limits.high)
        fields["range_source"] = limits.source
    if result.flag is not None:
        fields["flag"] = FLAGS[result.flag]
        fields["critical_source"] = result.critical_source
    if result.by_laboratory:
        fields["range_source"] = own_flags.SOURCE
    if (kind := VALUE_KINDS.get(result.kind)) is not None:
        fields["value_kind"] = kind
    if result.reason is not None:
        fields["not_interpreted"] = _refusal(result.reason)
    remarks = result.remarks
    if item.notes or item.status in comments.CORRECTED:
        fields["comments"] = item.notes
        remarks += comments.of_result(item)
    if remarks:
        fields["remarks"] = [_refusal(each) for each in remarks]
    return fields


def _comment(comment: Comment) -> dict[str, Any]:
    return {
        "text": comment.text,
        "observation_ids": sorted(comment.results),
        "remarks": [_refusal(each) for each in comments.remarks(comment.text)],
    }


def _comparator(interval: Interval) -> str:
    """Return the sign of a limit; empty for a range with two ends."""
    if interval.high is None:
        return ">" if interval.low_open else ">="
    if interval.low is None or (not interval.low and interval.high_open):
        return "<" if interval.high_open else "<="
    return ""


def _loinc(result: Result) -> str:
    if result.code:
        return result.code.loinc
    return next((each for each in result.measured.loinc), "") if result.test else ""


def _risk(risk: engine.Risk) -> dict[str, Any]:
    return {
        "risk_id": risk.risk_id,
        "text_en": risk.text_en,
        "text_zh": risk.text_zh,
        "evidence_ids": risk.evidence_ids,
        "source": risk.source,
        "source_url": risk.source_url,
        "kind": KINDS[risk.kind],
        "priority": PRIORITIES[risk.priority],
        "strength": STRENGTHS[risk.strength],
        "topic": risk.topic,
        "against": [
            {"text_en": each.text_en, "text_zh": each.text_zh, "evidence_ids": each.evidence_ids}
            for each in risk.against
        ],
        "next_en": risk.next_en,
        "next_zh": risk.next_zh,
        "contradicts": risk.contradicts,
        "covers": risk.covers,
    }


def _refusal(error: MeshError) -> dict[str, Any]:
    return {"reason": error.reason, "message": error.message, "facts": error.facts}


def _as_it_came(item: Measured) -> str:
    quantity = item.quantity
    if quantity is None:
        return item.text
    first = f"{quantity.comparator}{quantity.written}"
    return f"{first}-{item.high.comparator}{item.high.written}" if item.high else first


@lru_cache(maxsize=4096)
def _limit(value: Decimal | None) -> str:
    if value is None:
        return ""
    return show(value, min(len(value.as_tuple().digits), LIMIT_DIGITS))
