"""A laboratory result beside earlier ones: components, notes, and a line of the conclusion.

Times stand as spans before the result ("3 days before"): dates of earlier cases are shifted, and
what is written in words is not shifted back. Programs find them as the extension `hours-before`.
"""

from __future__ import annotations

from collections.abc import Iterable

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.ucum import readable
from services.reporting import codes
from services.reporting.draft import Draft
from services.reporting.elements import (
    Json,
    decimal_of,
    extension,
    quantity,
    rounded,
    text,
)
from services.reporting.lab_names import name_of
from services.reporting.words import Language, has, listed, say

SHOWN_MAX = 8
"""Changes that the conclusion names."""
BEYOND = frozenset({pb.CHANGE_VERDICT_RISE, pb.CHANGE_VERDICT_FALL})
WITHIN = frozenset({pb.CHANGE_VERDICT_WITHIN})
ABNORMAL = frozenset({pb.FLAG_LOW, pb.FLAG_HIGH, pb.FLAG_CRITICAL_LOW, pb.FLAG_CRITICAL_HIGH})
_SPANS = ((1.0, 1 / 60, "minutes"), (72.0, 1.0, "hours"), (1464.0, 24.0, "days"))
"""Up to how many hours, hours in the unit, its name; then months and years."""
_MONTH_H, _YEAR_H = 730.5, 8766.0


def components(draft: Draft, result: pb.LabResult) -> list[Json]:
    """Return the earlier values, the change and the slope of a result."""
    made = [_earlier(draft, result, each) for each in result.earlier]
    if result.HasField("change"):
        difference = decimal_of(result.change.difference.lstrip("+"))
        if difference is not None:
            value = quantity(difference, result.canonical_unit)
            made.append(_component(draft, "change", {"valueQuantity": value}))
    if result.HasField("trend"):
        slope = decimal_of(result.trend.slope.lstrip("+"))
        if slope is not None:
            value = quantity(slope, result.trend.slope_unit)
            made.append(_component(draft, "trend", {"valueQuantity": value}))
    return [each for each in made if each]


def notes(draft: Draft, result: pb.LabResult) -> list[str]:
    """Return what the change and the trend mean."""
    language, found = draft.language, []
    if result.HasField("change"):
        found += _of_change(language, result)
    trend = result.trend
    if trend.direction in (pb.TREND_DIRECTION_RISING, pb.TREND_DIRECTION_FALLING):
        found.append(
            say(
                language,
                f"trend-{trend.direction}",
                span=span(language, trend.hours),
                count=trend.count,
                slope=text(trend.slope),
                unit=readable(trend.slope_unit),
            )
        )
    return found


def conclusion(draft: Draft, found: pb.LabFindings) -> list[str]:
    """Return one line that names the significant changes, none when there are none.

    Significant is a change beyond the reference change value of a result that is outside its
    range now or was then, one that failed its delta check, and any trend.
    """
    items = [_item(draft, each) for each in _newest(found.results) if _significant(each)]
    if not items:
        return []
    shown = items[:SHOWN_MAX]
    if len(items) > SHOWN_MAX:
        shown.append(say(draft.language, "changed-more", count=len(items) - SHOWN_MAX))
    listing = listed(draft.language, shown)
    return [say(draft.language, "changed", count=len(items), items=listing)]


def span(language: Language, hours: float) -> str:
    """Return a time between two results in words, rounded to its unit."""
    for most, unit, name in _SPANS:
        if hours < most:
            return say(language, f"span-{name}", count=round(hours / unit))
    if hours < 2 * _YEAR_H:
        return say(language, "span-months", count=round(hours / _MONTH_H))
    return say(language, "span-years", count=f"{hours / _YEAR_H:.1f}")


def _earlier(draft: Draft, result: pb.LabResult, each: pb.EarlierResult) -> Json:
    number = decimal_of(each.value)
    answer = f"ordinal-{each.value}"
    shown = say(draft.language, answer) if has(answer) else text(each.value)
    value: Json = {"valueString": shown}
    if number is not None and result.canonical_unit:
        value = {"valueQuantity": quantity(number, result.canonical_unit)}
    if each.flag:
        value["interpretation"] = [codes.concept(f"flag-{each.flag}")]
    hours = rounded(each.hours_before, 2)
    value["extension"] = [extension("hours-before", valueDecimal=hours)]
    return _component(draft, "earlier-result", value, span=span(draft.language, each.hours_before))


def _component(draft: Draft, name: str, value: Json, **facts: object) -> Json:
    return {
        "code": {
            "coding": [{"system": codes.COMPONENTS, "code": name}],
            "text": say(draft.language, name, **facts),
        },
        **value,
    }


def _of_change(language: Language, result: pb.LabResult) -> list[str]:
    change = result.change
    verdict = say(
        language,
        f"change-{change.verdict if change.verdict in BEYOND | WITHIN else 0}",
        fall=f"{change.fall_limit_percent:g}",
        rise=f"{change.rise_limit_percent:g}",
        source=text(change.variation_source),
    )
    found = [
        say(
            language,
            "change-note" if change.percent else "change-note-zero",
            earlier=text(change.earlier_value),
            unit=readable(result.canonical_unit),
            difference=text(change.difference),
            percent=f"{change.percent:+g}",
            span=span(language, change.hours),
            verdict=verdict,
        )
    ]
    if change.delta_limit:
        found.append(
            say(
                language,
                "delta-note",
                limit=readable(text(change.delta_limit)),
                span=span(language, change.delta_hours),
                source=text(change.delta_source),
            )
        )
    return found


def _newest(results: Iterable[pb.LabResult]) -> list[pb.LabResult]:
    """Return the results that no other of the part has as an earlier one."""
    older = {each.observation_id for result in results for each in result.earlier}
    return [result for result in results if result.observation_id not in older]


def _significant(result: pb.LabResult) -> bool:
    if result.HasField("trend") or result.change.delta_limit:
        return True
    flags = {result.flag, *(each.flag for each in list(result.earlier)[:1])}
    return result.change.verdict in BEYOND and bool(flags & ABNORMAL)


def _item(draft: Draft, result: pb.LabResult) -> str:
    return say(
        draft.language,
        "changed-item",
        name=name_of(draft.language, result),
        earlier=text(result.change.earlier_value),
        value=text(result.canonical_value),
        unit=readable(result.canonical_unit),
        span=span(draft.language, result.change.hours),
        difference=text(result.change.difference),
    )
