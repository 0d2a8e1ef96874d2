"""Suggestions in the report: an Observation each, every statement with what it rests on.

An Observation and not a ClinicalImpression: verdicts, signing and profiles of the report are of
Observations (docs/adr/0033-suggestions.md). Nothing is phrased as a diagnosis made.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import Json, compound, extension, text
from services.reporting.suggestions.model import (
    Evidence,
    Fact,
    Outcome,
    Span,
    Weighed,
    Weight,
)
from services.reporting.words import Language, listed, say

SYSTEM = "urn:dxmesh:suggestion"
INSUFFICIENT = "insufficient-evidence"
SHOWN_MAX = 5
"""Suggestions that the conclusion names."""
KEPT_MAX = 12
"""Suggestions of a report: each needs a physician's verdict, and the rest are nearer to noise."""
NEAREST_MAX = 3
ITEMS_MAX = 6
"""Pieces of evidence in a sentence; the components have all."""


def compose(draft: Draft, part: Part, outcome: Outcome, topic: Topic) -> None:
    """Add the suggestions, best first, or that too little speaks for any.

    Pressing ones are named before everything else, for a reader who has seconds.
    """
    kept = outcome.suggested[:KEPT_MAX]
    if pressing := [_name(draft.language, each) for each in kept[:SHOWN_MAX] if each.pressing]:
        items = listed(draft.language, pressing)
        topic.alerts.append(say(draft.language, "suggestion-alert", items=items))
    for rank, weighed in enumerate(kept, 1):
        topic.add(_observation(draft, part, weighed, rank))
    for weighed in kept[:SHOWN_MAX]:
        flag = say(draft.language, "suggestion-line-flag") if weighed.pressing else ""
        line = sentence(draft.language, weighed)
        topic.conclusion.append(say(draft.language, "suggestion-line", flag=flag, sentence=line))
    if len(kept) > SHOWN_MAX:
        more = len(kept) - SHOWN_MAX
        topic.conclusion.append(say(draft.language, "suggestion-more", count=more))
    if not kept and outcome.insufficient:
        made = _insufficient(draft, part, nearest(outcome.insufficient)[:NEAREST_MAX])
        topic.add(made)
        topic.conclusion.append(str(made["valueString"]))


def nearest(insufficient: Sequence[Weighed]) -> list[Weighed]:
    """Return those that a strong feature supports: weak ones alone name nothing but worries."""
    return [each for each in insufficient if each.heaviest >= Weight.STRONG]


def sentence(language: Language, weighed: Weighed) -> str:
    """Return a suggestion in one sentence: what to consider, why, what opposes it, what next."""
    condition = weighed.condition
    facts = {
        "name": _name(language, weighed),
        "supports": _items(language, _deciding_first(weighed.supports)),
        "opposes": _items(language, weighed.opposes),
        "next": condition.next[0 if language == "zh" else 1],
    }
    key = "suggestion-sentence" if weighed.opposes else "suggestion-unopposed"
    return say(language, key, **facts)


def _deciding_first(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return evidence with what alone is enough first: four results of a red flag crowd it out."""
    return sorted(evidence, key=lambda each: each.weight < Weight.DECISIVE)


def _name(language: Language, weighed: Weighed) -> str:
    return weighed.condition.zh if language == "zh" else weighed.condition.en


def _items(language: Language, evidence: Sequence[Evidence]) -> str:
    """Return facts in words, each once: a rule's fact lists the results it rests on.

    A vital sign that was submitted and stands in a note with the same number is told once.
    """
    comma = listed(language, ["", ""])
    words: dict[str, None] = {}
    told: set[tuple[str, float]] = set()
    for fact in (fact for each in evidence for fact in each.facts):
        if fact.key.startswith("vital:") and fact.number is not None:
            if (fact.key, fact.number) in told:
                continue
            told.add((fact.key, fact.number))
        said = shown(language, evidence[0], fact)
        words.update(dict.fromkeys(said.split(comma) if fact.key.startswith("risk:") else [said]))
    return listed(language, list(words)[:ITEMS_MAX])


def shown(language: Language, evidence: Evidence, fact: Fact) -> str:
    """Return a fact in words: of a rule that opposes its statement, else what it rests on."""
    place = 0 if language == "zh" else 1
    said = fact.stated[place] if evidence.weight < 0 else ""
    return text(said or (fact.zh, fact.en)[place])


def _observation(draft: Draft, part: Part, weighed: Weighed, rank: int) -> Json:
    condition, language = weighed.condition, draft.language
    made = draft.observation(part, condition.id, "category-exam", review=True)
    made["code"] = {
        "coding": [{"system": SYSTEM, "code": condition.id}],
        "text": say(language, "suggestion-name", name=_name(language, weighed)),
    }
    made["valueString"] = sentence(language, weighed)
    made["method"] = {"text": text("; ".join(each.text for each in condition.sources))}
    made["extension"] = [extension("source-link", valueUrl=s.link) for s in condition.sources]
    places = dict.fromkeys(p for e in weighed.evidence for fact in e.facts for p in fact.places)
    documents = dict.fromkeys(
        _document(draft, span)
        for each in weighed.evidence
        for fact in each.facts
        if not fact.places
        for span in fact.spans
    )
    references = [{"reference": f"Observation/{place}"} for place in places]
    references += [{"reference": document} for document in documents]
    if references:
        made["derivedFrom"] = references
    made["note"] = [{"text": each} for each in _notes(language, weighed)]
    made["component"] = [
        *(_component(draft, each) for each in weighed.evidence),
        _number(draft, "points", weighed.points),
        _number(draft, "rank", rank),
    ]
    return made


def _notes(language: Language, weighed: Weighed) -> list[str]:
    condition = weighed.condition
    place = 0 if language == "zh" else 1
    lines = []
    if weighed.red_flags:
        flags = _items(language, weighed.red_flags)
        lines.append(say(language, "suggestion-red", flags=flags))
    if condition.ask[place]:
        lines.append(say(language, "suggestion-ask", ask=condition.ask[place]))
    lines.append(say(language, "suggestion-next", next=condition.next[place]))
    lines.append(say(language, "suggestion-not", points=weighed.points))
    if not all(source.checked for source in condition.sources):
        lines.append(say(language, "suggestion-unchecked"))
    return lines


def _component(draft: Draft, evidence: Evidence) -> Json:
    """Return one piece of evidence: its class, its words, the Observations and places it is in."""
    kind = "red-flag" if evidence.red else "supports" if evidence.weight > 0 else "opposes"
    words = listed(
        draft.language,
        list(dict.fromkeys(shown(draft.language, evidence, f) for f in evidence.facts)),
    )
    extensions = [
        extension("evidence", valueReference={"reference": f"Observation/{place}"})
        for place in dict.fromkeys(place for fact in evidence.facts for place in fact.places)
    ]
    spans = dict.fromkeys(span for fact in evidence.facts for span in fact.spans)
    extensions += [span_extension(draft, span) for span in spans]
    extensions.append(extension("points", valueInteger=evidence.weight))
    return {"extension": extensions, "code": _code(draft, kind), "valueString": words}


def span_extension(draft: Draft, span: Span) -> Json:
    """Return a place in a note: half-open, Unicode code points."""
    return compound(
        "source-span",
        extension("document", valueReference={"reference": _document(draft, span)}),
        extension("start", valueInteger=span.start),
        extension("end", valueInteger=span.end),
    )


def _document(draft: Draft, span: Span) -> str:
    return f"DocumentReference/{draft.id(span.part_id, 'note', span.note_id)}"


def _number(draft: Draft, name: str, value: int) -> Json:
    return {"code": _code(draft, name), "valueInteger": value}


def _code(draft: Draft, name: str) -> Json:
    return {
        "coding": [{"system": codes.COMPONENTS, "code": name}],
        "text": say(draft.language, f"component-{name}"),
    }


def _insufficient(draft: Draft, part: Part, near: Sequence[Weighed]) -> Json:
    """Return what says that too little speaks for any condition, with the nearest ones."""
    language = draft.language
    items = [
        say(
            language,
            "suggestion-nearest-item",
            name=_name(language, each),
            supports=_items(language, each.supports),
        )
        for each in near
    ]
    separator = "；" if language == "zh" else "; "
    lines = [say(language, "suggestion-insufficient")]
    if items:
        lines.append(say(language, "suggestion-nearest", items=separator.join(items)))
    made = draft.observation(part, INSUFFICIENT, "category-exam")
    made["code"] = {
        "coding": [{"system": SYSTEM, "code": INSUFFICIENT}],
        "text": say(language, "suggestion-insufficient-name"),
    }
    made["valueString"] = ("" if language == "zh" else " ").join(lines)
    places = dict.fromkeys(
        place for each in near for e in each.evidence for fact in e.facts for place in fact.places
    )
    if places:
        made["derivedFrom"] = [{"reference": f"Observation/{place}"} for place in places]
    return made
