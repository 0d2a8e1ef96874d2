"""Scores and their definitions as messages."""

from __future__ import annotations

from typing import Any

from dxmesh.labs.v1 import lab_findings_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2 as service_pb

from services.labs.scores.model import Definition, Gap, Input, NotComputed, Score, Wanted


def score(found: Score) -> pb.Score:
    """Return a score with its inputs, or with what kept it from being computed."""
    return pb.Score(**fields(found))


def fields(found: Score) -> dict[str, Any]:
    """Return the same as fields, which a message that holds it makes without copying."""
    of = found.definition
    made: dict[str, Any] = {
        "score_id": of.score_id,
        "loinc_code": of.loinc,
        "display_en": of.name_en,
        "display_zh": of.name_zh,
        "value": found.shown,
        "unit": of.unit,
        "category_en": found.category[0],
        "category_zh": found.category[1],
        "source": of.source,
        "source_url": of.link,
        "note_en": of.note_en,
        "note_zh": of.note_zh,
        "inputs": [_input(each) for each in found.inputs],
        "gaps": [_gap(each) for each in found.gaps],
    }
    if found.reason:
        made["not_computed"] = _refusal(found.reason)
    return made


def definition(of: Definition) -> service_pb.ScoreDefinition:
    """Return what a score needs and where it comes from."""
    return service_pb.ScoreDefinition(
        score_id=of.score_id,
        topic=of.topic,
        display_en=of.name_en,
        display_zh=of.name_zh,
        unit=of.unit,
        loinc_code=of.loinc,
        source=of.source,
        source_url=of.link,
        note_en=of.note_en,
        note_zh=of.note_zh,
        inputs=[_wanted(each, of) for each in of.wanted],
    )


def _wanted(each: Wanted, of: Definition) -> service_pb.ScoreInputDefinition:
    quality = each.quality
    return service_pb.ScoreInputDefinition(
        name=quality.name,
        display_en=quality.name_en,
        display_zh=quality.name_zh,
        kind=quality.kind.value,
        unit=each.unit,
        low=f"{each.low:g}" if each.low > float("-inf") else "",
        high=f"{each.high:g}" if each.high < float("inf") else "",
        fresh_hours=round(max(of.fresh_h, quality.keep_h)),
        optional=each.optional,
    )


def _input(each: Input) -> dict[str, Any]:
    return {
        "name": each.name,
        "value": each.value,
        "unit": each.unit,
        "observation_id": each.observation_id,
        "display_en": each.name_en,
        "display_zh": each.name_zh,
        "effective_time": each.effective,
    }


def _gap(each: Gap) -> dict[str, Any]:
    return {
        "name": each.quality.name,
        "display_en": each.quality.name_en,
        "display_zh": each.quality.name_zh,
        "refusal": _refusal(each.reason),
    }


def _refusal(error: NotComputed) -> dict[str, Any]:
    return {"reason": error.reason, "message": error.message, "facts": error.facts}
