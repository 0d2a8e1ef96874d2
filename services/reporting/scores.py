"""Scores of the laboratory part, each with the results it rests on."""

from __future__ import annotations

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.ucum import readable, written
from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import (
    Json,
    decimal_of,
    extension,
    quantity,
    quantity_as_written,
    text,
)
from services.reporting.lab_names import name_of
from services.reporting.words import listed, say, why


def compose(
    draft: Draft, part: Part, found: pb.LabFindings, made: dict[str, Json], topic: Topic
) -> None:
    """Add the scores of a part; `made` maps a result's id, then a score's too, to a Reference."""
    names = {each.observation_id: name_of(draft.language, each) for each in found.results}
    for score in found.scores:
        made[score.score_id] = topic.add(_score(draft, part, score, made, names))
    items = [_item(draft, score) for score in found.scores if score.value]
    if items:
        topic.conclusion.append(say(draft.language, "scores", items=listed(draft.language, items)))


def _score(
    draft: Draft, part: Part, score: pb.Score, made: dict[str, Json], names: dict[str, str]
) -> Json:
    observation = draft.observation(part, score.score_id, "category-laboratory")
    observation["code"] = {"text": _name(draft, score)}
    if score.loinc_code:
        observation["code"]["coding"] = [{"system": codes.LOINC, "code": score.loinc_code}]
    value = decimal_of(score.value)
    if value is not None:
        observation["valueQuantity"] = quantity(value, score.unit or "1")
    else:
        observation["dataAbsentReason"] = codes.concept("absent-not-performed")
    if notes := _notes(draft, score):
        observation["note"] = [{"text": note} for note in notes]
    if category := _category(draft, score):
        observation["interpretation"] = [{"text": category}]
    if score.source:
        observation["method"] = {"text": text(score.source)}
    sources = [made[each.observation_id] for each in score.inputs if each.observation_id in made]
    if sources:
        observation["derivedFrom"] = sources
    inputs = [_input(draft, each, names, made) for each in score.inputs]
    if inputs:
        observation["component"] = inputs
    return observation


def _notes(draft: Draft, score: pb.Score) -> list[str]:
    """Return why it was not computed, input by input, or where a computed one misleads."""
    language = draft.language
    if score.value:
        caution = written(text(score.note_zh if language == "zh" else score.note_en))
        return [caution] if caution else []
    reasons = [_lacks(draft, each) for each in score.gaps] or [why(language, score.not_computed)]
    return [say(language, "not-computed-note", why=each) for each in reasons]


def _lacks(draft: Draft, gap: pb.ScoreGap) -> str:
    reason = Refusal()
    reason.CopyFrom(gap.refusal)
    reason.facts.pop("input", None)  # it is named in words
    if reason.reason == "PREGNANCY":  # of the person, not of an input
        return why(draft.language, reason)
    because = reason.facts.pop("because", "")
    name = text(gap.display_zh if draft.language == "zh" else gap.display_en) or gap.name
    items = [why(draft.language, reason)]
    if because:
        items.append(why(draft.language, Refusal(reason=because, message=because)))
    facts = listed(draft.language, items)
    return say(draft.language, "with-facts", words=name, facts=facts)


def _input(draft: Draft, each: pb.ScoreInput, names: dict[str, str], made: dict[str, Json]) -> Json:
    named = {key: say(draft.language, f"input-{key}") for key in ("age", "sex")}
    stated = text(each.display_zh if draft.language == "zh" else each.display_en)
    name = named.get(each.name) or stated or names.get(each.observation_id) or each.name
    value = text(each.value)
    if each.name == "sex" and value in ("male", "female"):
        value = say(draft.language, f"sex-{value}")
    if value in ("yes", "no") and not each.unit:
        value = say(draft.language, f"answer-{value}")
    component: Json = {"code": {"text": name}}
    amount = quantity_as_written(value, each.unit, each.unit)
    if amount:
        years = each.unit == "a"
        unit = say(draft.language, "unit-years") if years else readable(each.unit)
        component["valueQuantity"] = amount | ({"unit": unit} if unit else {})
    elif value:
        component["valueString"] = value
    else:
        component["dataAbsentReason"] = codes.concept("absent-unknown")
    if each.observation_id in made:
        source = made[each.observation_id]
        component["extension"] = [extension("evidence", valueReference=source)]
    return component


def _item(draft: Draft, score: pb.Score) -> str:
    category = _category(draft, score)
    wrapped = say(draft.language, "score-category", category=category) if category else ""
    value = text(f"{score.value} {readable(score.unit)}")
    return say(
        draft.language, "score-item", name=_name(draft, score), value=value, category=wrapped
    )


def _name(draft: Draft, score: pb.Score) -> str:
    return text(score.display_zh if draft.language == "zh" else score.display_en) or score.score_id


def _category(draft: Draft, score: pb.Score) -> str:
    return written(text(score.category_zh if draft.language == "zh" else score.category_en))
