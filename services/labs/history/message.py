"""What a result says over time, as the message the report is made from."""

from __future__ import annotations

from decimal import Decimal

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.labs.analytes import ANALYTES
from services.labs.history.changes import Change, Verdict
from services.labs.history.overtime import Earlier, OverTime
from services.labs.history.trend import Trend
from services.labs.reasons import NewerResultKnown

FLAGS = {
    "N": pb.FLAG_NORMAL,
    "L": pb.FLAG_LOW,
    "H": pb.FLAG_HIGH,
    "LL": pb.FLAG_CRITICAL_LOW,
    "HH": pb.FLAG_CRITICAL_HIGH,
    "A": pb.FLAG_ABNORMAL,
}
VERDICTS = {
    Verdict.UNKNOWN: pb.CHANGE_VERDICT_UNSPECIFIED,
    Verdict.WITHIN: pb.CHANGE_VERDICT_WITHIN,
    Verdict.RISE: pb.CHANGE_VERDICT_RISE,
    Verdict.FALL: pb.CHANGE_VERDICT_FALL,
}
SHOWN_MAX = 12
"""Earlier results that a message holds."""
SLOPE_DIGITS = 3


def add(result: pb.LabResult, over: OverTime) -> None:
    """Put what a result says over time into its message."""
    result.earlier.extend([_earlier(each) for each in over.earlier[:SHOWN_MAX]])
    if over.change:
        result.change.CopyFrom(_change(over.change))
    if over.newer:
        result.remarks.append(_newer(over.newer, over.row.unit))
    if over.trend:
        result.trend.CopyFrom(_trend(over.trend, ANALYTES[over.row.analyte].unit.ucum))


def _earlier(each: Earlier) -> pb.EarlierResult:
    row = each.row
    return pb.EarlierResult(
        value=row.value,
        hours_before=round(each.hours_before, 2),
        flag=FLAGS.get(row.flag, pb.FLAG_UNSPECIFIED),
        observation_id=row.observation_id if each.here else "",
        effective_time=row.effective,
    )


def _newer(newer: Earlier, unit: str) -> Refusal:
    """Return the remark that a newer result is known, which was judged without this one."""
    hours = f"{-newer.hours_before:.2f}".rstrip("0").rstrip(".")
    known = NewerResultKnown(
        "it came after a newer result of the same analyte, which was not compared with it",
        value=newer.row.value,
        unit=unit,
        hours_later=hours,
    )
    return Refusal(reason=known.reason, message=known.message, facts=known.facts)


def _change(change: Change) -> pb.Change:
    made = pb.Change(
        earlier_value=change.earlier,
        hours=round(change.hours, 2),
        difference=signed(change.difference),
        percent=round(change.percent, 1),
        verdict=VERDICTS[change.verdict],
    )
    if limits := change.variation:
        made.fall_limit_percent = round(limits.fall, 1)
        made.rise_limit_percent = round(limits.rise, 1)
        made.variation_source = limits.source
    if failed := change.delta:
        made.delta_limit, made.delta_hours = failed.shown, failed.hours
        made.delta_source = failed.source
    return made


def _trend(trend: Trend, unit: str) -> pb.Trend:
    rising = pb.TREND_DIRECTION_RISING
    slope = Decimal(f"{trend.slope:.{SLOPE_DIGITS}g}")
    return pb.Trend(
        direction=rising if trend.rising else pb.TREND_DIRECTION_FALLING,
        count=trend.count,
        hours=round(trend.hours, 2),
        slope=signed(slope),
        slope_unit=f"{unit}/{trend.per}" if unit != "1" else f"/{trend.per}",
    )


def signed(value: Decimal) -> str:
    """Return plain decimal text with its sign; 0 without one."""
    return f"{value:+f}" if value else "0"
