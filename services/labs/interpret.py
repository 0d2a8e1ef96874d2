"""A result as it came and as it was understood: canonical value, range, flag, or the reason.

Every item of a labs part comes back exactly once, in order. What cannot be interpreted keeps
its value as it came and carries the reason; nothing is guessed. A limit (`>6.0`) or a range of
values (`3-5`) is flagged only where every value it allows has the same flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.labs import (
    beyond,
    counterparts,
    critical,
    cutoff,
    matching,
    own_flags,
    plausible,
    qualitative,
    ranges,
    reading,
    reasons,
    specimens,
)
from services.labs.analytes import Analyte
from services.labs.local_codes import NONE
from services.labs.local_codes import Table as Mappings
from services.labs.panel import Measured, Subject
from services.labs.range_rows import Range
from services.labs.range_rows import Table as RangeTable
from services.labs.reading import Kind, Value, show, unit_of
from services.labs.reasons import NotInterpretable, Remark
from services.labs.result import Flag, Result
from services.labs.specimens import class_of
from services.labs.times import moment

__all__ = ["Flag", "Kind", "Result", "Site", "interpret", "show", "unit_of"]


_FLAGS = {-1: Flag.LOW, 0: Flag.NORMAL, 1: Flag.HIGH}
_CRITICAL = {-1: Flag.CRITICAL_LOW, 1: Flag.CRITICAL_HIGH}


@dataclass(frozen=True, slots=True)
class Site:
    """What a tenant has of its own, beside critical limits."""

    mappings: Mappings = NONE
    """Its codes and names."""
    ranges: RangeTable | None = None
    """Its reference ranges; None: it has none."""


DEFAULT_SITE = Site()


def interpret(
    items: Sequence[Measured],
    subject: Subject,
    table: critical.Table = critical.DEFAULTS,
    site: Site = DEFAULT_SITE,
    now: datetime | None = None,
) -> list[Result]:
    """Return one result per item, in order.

    Parameters
    ----------
    now : when the part was received; results dated later carry a remark. None: not judged
    """
    found = [_interpret(item, subject, table, site, now) for item in items]
    return [own_flags.taken(each) if each.measured.flagged else each for each in found]


def _interpret(
    item: Measured,
    subject: Subject,
    table: critical.Table,
    site: Site,
    now: datetime | None,
) -> Result:
    remarks: tuple[Remark, ...] = ()
    if now is not None and _later(item.effective, now):
        remarks = (reasons.ResultInFuture("it is dated after it was received"),)
    match: matching.Match | None = None
    try:
        if item.status in reasons.STATUSES or not item.status:
            raise reasons.NotFinal(item.status)
        if item.panel:
            raise reasons.Panel("it groups other results")
        if item.category:
            raise reasons.NotOfLaboratory("a sign or an answer, which scores read")
        match = matching.find(item, site.mappings)
        if match.code is None and (titre := counterparts.titre_of(match.test, item)):
            match = matching.Match(titre, how=match.how)
        if match.code is not None:
            value = reading.value_of(item, match.code)
            plausible.check(value, match.code.analyte)
            return _flagged(item, remarks, match, value, subject, table, site)
    except reading.AnswerInstead as instead:
        return _absent_or_not(_plain(item, remarks, match), instead.answer)
    except NotInterpretable as reason:
        plain = replace(_plain(item, remarks, match), reason=reason)
        return _beyond_measure(plain, subject, table) if plain.code and item.text else plain
    return _answered(_plain(item, remarks, match))


def _plain(item: Measured, remarks: tuple[Remark, ...], match: matching.Match | None) -> Result:
    """Return a result of which no more is known than what it is."""
    kind = reading.kind_of(item)
    if match is None:
        return Result(item, kind=kind, remarks=remarks)
    return Result(item, code=match.code, test=match.test, how=match.how, kind=kind, remarks=remarks)


def _flagged(
    item: Measured,
    remarks: tuple[Remark, ...],
    match: matching.Match,
    value: Value,
    subject: Subject,
    table: critical.Table,
    site: Site,
) -> Result:
    """Return the result of a number, a limit or a range with its range and flag."""
    code, interval = match.code, value.interval
    assert code is not None  # noqa: S101 - the caller looked
    held: Range | None = None
    missing: NotInterpretable | None = None
    specimen = class_of(item.specimen) if item.specimen else ""
    try:
        held = ranges.find(value.quantity, code, subject, item.ranges, specimen, site.ranges)
    except reasons.NoRange as reason:
        missing = reason
    limits = critical.limits_for(code.analyte.analyte_id, subject, table)
    flag, source = None, ""
    if limits is not None:
        side = _critical_side(value, limits)
        flag = _CRITICAL.get(side) if side else None
        source = limits.source if flag else ""
        remarks += _of_limits(value, code.analyte, held, limits, side)
    if flag is None and held is None and _reactive(value, code.analyte):
        flag = Flag.ABNORMAL
    if flag is None and held is not None:
        side = _side(value, held)
        if side is None:
            missing = reasons.FlagNotDeterminable("a limit or a range that settles no flag")
        else:
            flag = _FLAGS[side]
    return Result(
        item,
        code,
        None if interval else value.canonical,
        value.shown,
        held,
        flag,
        source,
        None if flag else missing,
        interval=interval,
        kind=value.kind,
        remarks=remarks,
        how=match.how,
    )


def _of_limits(
    value: Value, analyte: Analyte, held: Range | None, limits: critical.Limits, side: int | None
) -> tuple[Remark, ...]:
    """Return what must be said of a value that is, or may be, beyond a critical limit."""
    if side is None:
        return (reasons.CriticalNotExcluded("the value may lie beyond a critical limit"),)
    if side and held:
        doubt = plausible.doubted(value, analyte, held, (limits.low, limits.high))
        return (doubt,) if doubt else ()
    return ()


def _beyond_measure(result: Result, subject: Subject, table: critical.Table) -> Result:
    """Return the result of `HI` on a meter, or of plasma that does not clot, as critical."""
    side = beyond.side_of(result.name, result.measured.text)
    if not side:
        return result
    limits = critical.limits_for(result.name, subject, table)
    limit = limits and (limits.high if side > 0 else limits.low)
    if limits is None or limit is None:
        return replace(result, flag=Flag.ABNORMAL, reason=None)
    return replace(result, flag=_CRITICAL[side], critical_source=limits.source, reason=None)


def _reactive(value: Value, analyte: Analyte) -> bool:
    """Tell whether it is a titre of which every stated dilution is abnormal: RPR 1:8."""
    stated = value.kind is Kind.TITRE and value.quantity.comparator not in ("<", "<=")
    return stated and analyte.analyte_id in counterparts.REACTIVE


def _critical_side(value: Value, limits: critical.Limits) -> int | None:
    """Return -1 below, 1 above critical limits, 0 within; None: not certain."""
    if value.interval is not None:
        return value.interval.side(limits.low, limits.high, limits.low_counts, limits.high_counts)
    number, low, high = value.canonical, limits.low, limits.high
    if low is not None and (number < low or (limits.low_counts and number == low)):
        return -1
    if high is not None and (number > high or (limits.high_counts and number == high)):
        return 1
    return 0


def _side(value: Value, limits: Range) -> int | None:
    """Return -1 when below, 1 when above, 0 when within; None: not certain."""
    if value.interval is None:
        return limits.side(value.canonical)
    return value.interval.side(limits.low, limits.high, limits.low_open, limits.high_open)


def _absent_or_not(result: Result, answer: qualitative.Reading) -> Result:
    """Return the result of a quantity that came as an answer: 未检出 for a viral load."""
    if answer.answer is qualitative.Answer.PENDING:
        return replace(result, reason=reasons.AnswerPending("there is no answer yet"))
    made = replace(result, answer=answer, kind=Kind.ORDINAL)
    negative = answer.answer is qualitative.Answer.NEGATIVE
    if negative and result.analyte is not None and result.analyte.absent_normal:
        return replace(made, flag=Flag.NORMAL)
    if test := counterparts.TESTS.get(result.name):
        return _answered(replace(result, code=None, test=test))
    return replace(made, reason=reasons.ValueNotNumeric("an answer, where a number is due"))


def _answered(result: Result) -> Result:
    """Return the result of an ordinal test with its answer; `A` when a healthy person has none."""
    text, test = result.measured.text, result.test
    if result.measured.quantity is not None:
        answer = cutoff.read(result.measured, test)
        if answer is None:
            return replace(result, reason=reasons.AnswerNotRead("a number, where an answer is due"))
    elif not text:
        return replace(result, reason=reasons.NoValue("there is no value"))
    else:
        answer = qualitative.read(text)
    if answer is None and specimens.unusable(text):
        return replace(result, reason=reasons.SpecimenUnusable("the specimen could not be used"))
    if answer is None:
        return replace(result, reason=reasons.AnswerNotRead("the answer is not a known spelling"))
    if answer.answer is qualitative.Answer.PENDING:
        return replace(result, reason=reasons.AnswerPending("there is no answer yet"))
    flag = None
    if test is not None and test.expected_negative:
        negative = answer.answer is qualitative.Answer.NEGATIVE
        flag = Flag.NORMAL if negative else Flag.ABNORMAL
    return replace(result, answer=answer, flag=flag, kind=Kind.ORDINAL)


CLOCKS_APART = timedelta(minutes=10)
"""How far the clocks of a laboratory and of this machine may be apart."""
ZONE_UNKNOWN = timedelta(hours=14)
"""The zone furthest ahead of UTC: a time without a zone may be of it."""


def _later(effective: str, now: datetime) -> bool:
    time = moment(effective) if effective else None
    if time is None:
        return False
    zoned = "T" in effective and (effective[-1] == "Z" or effective[-6:-5] in ("+", "-"))
    return time - now > (CLOCKS_APART if zoned else ZONE_UNKNOWN)
