"""The laboratory part: every result as it came, with what was understood of it."""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.reporting import codes, over_time, risks, scores
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import (
    Json,
    decimal_of,
    extension,
    is_date_time,
    placeholder,
    quantity,
    quantity_as_written,
    text,
)
from services.reporting.lab_names import item, name_of, shown
from services.reporting.words import listed, say, why

CRITICAL = frozenset({pb.FLAG_CRITICAL_LOW, pb.FLAG_CRITICAL_HIGH})
ANALYTE = "urn:dxmesh:analyte"
"""Code system of the laboratory's own dictionary, for what has no LOINC code."""
OWN_RANGE = "the laboratory's own range"
"""What the labs service calls a range that came with a result; others are citations."""
OUTSIDE = frozenset({pb.FLAG_LOW, pb.FLAG_HIGH, pb.FLAG_ABNORMAL})


def compose(draft: Draft, part: Part, found: pb.LabFindings) -> Topic:
    """Return Observations and conclusion of a laboratory part."""
    topic = Topic()
    made: dict[str, Json] = {}
    for result in found.results:
        made[result.observation_id] = topic.add(_observation(draft, part, result))
    topic.alerts += _flagged(draft, found, "critical", CRITICAL)
    topic.conclusion += _conclusion(draft, found)
    scores.compose(draft, part, found, made, topic)
    risks.compose(draft, part, found, made, topic)
    return topic


def _observation(draft: Draft, part: Part, result: pb.LabResult) -> Json:
    critical = result.flag in CRITICAL
    category = result.category if result.category in codes.SIGNS else "laboratory"
    local = result.observation_id
    made = draft.observation(part, local, f"category-{category}", review=critical)
    made["code"] = {"text": name_of(draft.language, result)}
    if result.loinc_code:
        made["code"]["coding"] = [{"system": codes.LOINC, "code": result.loinc_code}]
    elif result.analyte_id:
        made["code"]["coding"] = [{"system": ANALYTE, "code": result.analyte_id}]
    if is_date_time(result.effective_time):
        made["effectiveDateTime"] = result.effective_time
    source = result.observation_id.split("#")[0]
    made["derivedFrom"] = [placeholder("Observation", source)]
    same_unit = _same_number(result)
    made |= _value(result, result.canonical_unit if same_unit else "")
    if result.flag:
        made["interpretation"] = [codes.concept(f"flag-{result.flag}")]
    if limits := _range(draft, result):
        made["referenceRange"] = [limits]
    if components := [*_converted(draft, result, same_unit), *over_time.components(draft, result)]:
        made["component"] = components
    notes = [*_notes(draft, result), *over_time.notes(draft, result)]
    if notes:
        made["note"] = [{"text": note} for note in notes]
    if result.HasField("not_interpreted"):
        reason = result.not_interpreted.reason
        made["extension"] = [extension("not-interpreted", valueCode=reason)]
    return made


def _converted(draft: Draft, result: pb.LabResult, same_unit: bool) -> list[Json]:
    """Return the value in the canonical unit, when it did not come in it."""
    canonical = decimal_of(result.canonical_value)
    if canonical is None or same_unit:
        return []
    converted = quantity(canonical, result.canonical_unit)
    return [{"code": {"text": say(draft.language, "converted")}, "valueQuantity": converted}]


def _same_number(result: pb.LabResult) -> bool:
    """Tell whether the value as it came is already in the canonical unit."""
    came, canonical = decimal_of(result.value_text), decimal_of(result.canonical_value)
    return came is not None and came == canonical


def _value(result: pb.LabResult, ucum: str) -> Json:
    value = text(result.value_text)
    if not value:
        return {"dataAbsentReason": codes.concept("absent-unknown")}
    written = quantity_as_written(value, result.unit_text, ucum)
    return {"valueQuantity": written} if written else {"valueString": shown(result, "zh")}


def _range(draft: Draft, result: pb.LabResult) -> Json:
    limits: Json = {}
    for side, limit in (("low", result.range_low), ("high", result.range_high)):
        number = decimal_of(limit)
        if number is not None:
            limits[side] = quantity(number, result.canonical_unit)
    if limits and result.range_source:
        own = result.range_source == OWN_RANGE
        limits["text"] = say(draft.language, "own-range") if own else text(result.range_source)
    return limits


def _notes(draft: Draft, result: pb.LabResult) -> list[str]:
    notes = []
    if result.critical_source:
        source = text(result.critical_source)
        notes.append(say(draft.language, "critical-note", source=source))
    if result.HasField("not_interpreted"):
        reason = why(draft.language, result.not_interpreted)
        notes.append(say(draft.language, "not-interpreted-note", why=reason))
    notes += [why(draft.language, each) for each in result.remarks]
    notes += [say(draft.language, "lab-comment", text=text(each)) for each in result.comments]
    return notes


def _conclusion(draft: Draft, found: pb.LabFindings) -> list[str]:
    language = draft.language
    if not found.results:
        return [say(language, "no-results")]
    lines = _flagged(draft, found, "abnormal", OUTSIDE) + over_time.conclusion(draft, found)
    if normal := sum(result.flag == pb.FLAG_NORMAL for result in found.results):
        key = _of_normal([each for each in found.results if not _is_panel(each)], normal)
        lines.append(say(language, key, count=normal))
    return lines + _comments(draft, found) + _unread(draft, found)


def _of_normal(results: Sequence[pb.LabResult], normal: int) -> str:
    """Return how to say that results are normal: all, these, or the others beside abnormal ones."""
    if any(result.flag > pb.FLAG_NORMAL for result in results):
        return "normal"
    return "normal-all" if normal == len(results) else "normal-only"


def _is_panel(result: pb.LabResult) -> bool:
    """Tell whether it only groups others: it has no value that a reader could miss."""
    return result.not_interpreted.reason == "PANEL"


def _comments(draft: Draft, found: pb.LabFindings) -> list[str]:
    """Return a line for each comment on an order or a specimen, with what it says of it."""
    lines = []
    for each in found.comments:
        said = say(draft.language, "lab-comment-whole", text=text(each.text))
        meant = [why(draft.language, one) for one in each.remarks]
        lines.append(
            say(draft.language, "with-facts", words=said, facts=listed(draft.language, meant))
            if meant
            else said
        )
    return lines


def _unread(draft: Draft, found: pb.LabFindings) -> list[str]:
    """Return a line for each reason why results were not interpreted."""
    groups: dict[str, list[str]] = {}
    for result in found.results:
        if result.HasField("not_interpreted") and not result.flag and not _is_panel(result):
            because = why(draft.language, result.not_interpreted)
            said = f"{name_of(draft.language, result)} {shown(result, draft.language)}"
            groups.setdefault(because, []).append(said.rstrip())
    return [
        say(
            draft.language,
            "uninterpreted",
            count=len(items),
            why=because.rstrip("。."),
            items=listed(draft.language, items),
        )
        for because, items in groups.items()
    ]


def _flagged(draft: Draft, found: pb.LabFindings, key: str, flags: frozenset[int]) -> list[str]:
    items = [item(draft.language, each) for each in found.results if each.flag in flags]
    if not items:
        return []
    return [say(draft.language, key, count=len(items), items=listed(draft.language, items))]
