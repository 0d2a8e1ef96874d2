"""Components of imaging Observations: measures, certainty, side, properties, urgency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes
from services.reporting import imaging_words as words
from services.reporting.draft import Draft
from services.reporting.elements import UCUM, Json, extension, quantity
from services.reporting.words import say, term

PERCENT = "%"
_SIDES = {pb.LATERALITY_LEFT: "left", pb.LATERALITY_RIGHT: "right"}
_LOOKED_FOR: Mapping[int, str] = {
    pb.FUNCTION_NODULES: "solitary-nodule",
    pb.FUNCTION_HAEMORRHAGE: "finding-haemorrhage",
    pb.FUNCTION_FRACTURES: "finding-fracture",
    pb.FUNCTION_PATHOLOGY: "finding-tumour",
}


def looked_for(function: int) -> str:
    """Return the key of the coding of what a reading looks for; empty for none."""
    return _LOOKED_FOR.get(function, "")


def of_finding(draft: Draft, finding: pb.Finding) -> list[Json]:
    language = draft.language
    made = _measures(draft, finding.measures)
    made.append(_certainty(say(language, "certainty-name"), finding.probability))
    if side := _SIDES.get(finding.laterality):
        made.append(
            {
                "code": codes.concept("laterality", say(language, "laterality-name")),
                "valueCodeableConcept": codes.concept(side, say(language, f"side-{side}")),
            }
        )
    made += _qualities(draft, finding.qualities)
    return made + _urgency(finding.urgent)


def of_answer(draft: Draft, answer: pb.Answer, *, positive: bool) -> list[Json]:
    made: list[Json] = []
    if (positive or answer.looked_for) and (key := looked_for(answer.function)):
        value = codes.concept("present" if positive else "not-detected")
        made.append({"code": codes.concept(key), "valueCodeableConcept": value})
    if answer.HasField("probability"):
        made.append(_certainty(say(draft.language, "certainty-series"), answer.probability))
    made += _measures(draft, answer.measures)
    made += _qualities(draft, answer.qualities)
    return made + _urgency(answer.urgent)


def _certainty(name: str, probability: float) -> Json:
    value = quantity(words.percent(probability), PERCENT, PERCENT)
    return {"code": codes.concept("certainty", name), "valueQuantity": value}


def _measures(draft: Draft, measures: Sequence[pb.Measure]) -> list[Json]:
    made: list[Json] = []
    for each in measures:
        name = words.label(draft.language, term(draft.language, f"measure-{each.name}"))
        code = codes.named(f"measure-{each.name}", _own(each.name), name)
        value = words.number(each.value, each.unit)
        component: Json = {
            "code": code,
            "valueQuantity": quantity(value, each.unit, words.unit(each.unit)),
        }
        if each.HasField("low") and each.HasField("high"):
            low, high = (
                {"value": words.number(end, each.unit), "system": UCUM, "code": each.unit}
                for end in (each.low, each.high)
            )
            interval = {"low": low, "high": high}
            component["extension"] = [extension("interval", valueRange=interval)]
        made.append(component)
    return made


def _qualities(draft: Draft, qualities: Sequence[pb.Quality]) -> list[Json]:
    made: list[Json] = []
    for each in qualities:
        name = words.label(draft.language, term(draft.language, f"quality-{each.name}"))
        component: Json = {"code": {"coding": [_own(each.name)], "text": name}}
        chance = words.percent(each.probability) if each.HasField("probability") else None
        if each.value:
            own = {"system": codes.VALUES, "code": each.value}
            text = words.value_name(draft.language, each)
            value = codes.named(f"value-{each.name}-{each.value}", own, text)
            component["valueCodeableConcept"] = value
            if chance is not None:
                stated = quantity(chance, PERCENT, PERCENT)
                component["extension"] = [extension("chance", valueQuantity=stated)]
        elif chance is not None:
            component["valueQuantity"] = quantity(chance, PERCENT, PERCENT)
        else:
            continue
        made.append(component)
    return made


def _urgency(urgent: bool) -> list[Json]:
    if not urgent:
        return []
    return [
        {
            "code": {"coding": [_own("urgency")]},
            "valueCodeableConcept": codes.concept("urgency-1"),
        }
    ]


def _own(name: str) -> Json:
    return {"system": codes.COMPONENTS, "code": name}
