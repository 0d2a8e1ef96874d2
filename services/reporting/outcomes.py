"""What became of each part: extensions for programs and sentences for people."""

from __future__ import annotations

from dxmesh.event.v1 import case_ref_pb2
from dxmesh.event.v1.case_deidentified_pb2 import SetAside
from dxmesh.event.v1.refusal_pb2 import Refusal

from services.reporting.draft import Draft, Kind, Outcome, Part
from services.reporting.elements import Json, compound, extension, instant, period
from services.reporting.words import say, why

KINDS = {
    case_ref_pb2.PART_KIND_IMAGING: Kind.IMAGING,
    case_ref_pb2.PART_KIND_LABS: Kind.LABS,
    case_ref_pb2.PART_KIND_NLP: Kind.NOTES,
}


def part_extension(draft: Draft, part: Part) -> Json:
    """Return a part's kind, outcome and, unless completed, the reason in words."""
    facts = [
        extension("partId", valueString=part.part_id),
        extension("kind", valueCode=part.kind.value),
        extension("outcome", valueCode=part.outcome.value),
    ]
    if part.refusal:
        facts.append(extension("reason", valueCode=part.refusal.reason))
    if part.outcome is not Outcome.COMPLETED:
        facts.append(extension("message", valueString=_sentence(draft, part)))
    return compound("part", *facts)


def set_aside_extension(draft: Draft, item: SetAside) -> Json:
    """Return content that was kept from the analysis, with the reason in words."""
    facts = [
        extension("kind", valueCode=KINDS.get(item.kind, "unknown")),
        extension("count", valueInteger=item.count),
        extension("reason", valueCode=item.refusal.reason),
        extension("message", valueString=_set_aside(draft, item)),
    ]
    return compound("set-aside", *facts)


def step_extensions(draft: Draft) -> list[Json]:
    """Return when de-identification and the analysis of each part began and ended."""
    steps = []
    if draft.deidentification:
        steps.append(_step("deidentification", period(*draft.deidentification)))
    for part in draft.parts:
        if part.started and part.finished:
            steps.append(_step(part.part_id, period(part.started, part.finished)))
    return steps


def sentences(draft: Draft) -> list[str]:
    """Return what is missing, declined, failed or set aside, for the conclusion."""
    lines = [_sentence(draft, p) for p in draft.parts if p.outcome is not Outcome.COMPLETED]
    lines += [_set_aside(draft, item) for item in draft.set_aside]
    if not draft.parts:
        lines.append(say(draft.language, "nothing-to-analyse"))
    return lines


def _step(name: str, ran: Json) -> Json:
    return compound(
        "step", extension("name", valueString=name), extension("period", valuePeriod=ran)
    )


def _sentence(draft: Draft, part: Part) -> str:
    facts = {
        "kind": say(draft.language, part.kind.value),
        "part": part.part_id,
        "due": instant(draft.due),
        "why": why(draft.language, part.refusal or Refusal()),
    }
    return say(draft.language, f"part-{part.outcome.value}", **facts)


def _set_aside(draft: Draft, item: SetAside) -> str:
    kind = KINDS.get(item.kind)
    facts = {
        "kind": say(draft.language, kind.value) if kind else "?",
        "count": item.count,
        "why": why(draft.language, item.refusal),
    }
    return say(draft.language, "set-aside", **facts)
