"""Comparisons in the report: a conflict is an Observation and a DetectedIssue, agreements are one.

Source: R4 DetectedIssue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import Json, extension, text
from services.reporting.reconcile.model import ORDER, Compared, Sort
from services.reporting.suggestions.model import Span
from services.reporting.suggestions.observations import span_extension
from services.reporting.words import listed, say

SYSTEM = "urn:dxmesh:reconciliation"
CONFLICTS_MAX = 20
AGREEMENTS_MAX = 50
SHOWN_MAX = 5
"""Conflicts, and agreements, that the conclusion names."""
_FIRST = (Sort.ALLERGY, Sort.IMAGE, Sort.RESULT, Sort.MEDICINE, Sort.CONTRADICTION)
"""Order among conflicts of one severity: what harms soonest."""
_NAMES = {Sort.CONTRADICTION: "contradiction", Sort.MEDICINE: "medicine", Sort.ALLERGY: "medicine"}


def compose(draft: Draft, part: Part, compared: Iterable[Compared], topic: Topic) -> None:
    """Add the conflicts, the most severe first, then the agreements."""
    found = list(compared)
    conflicts = [each for each in found if each.sort is not Sort.AGREEMENT]
    conflicts.sort(key=lambda each: (ORDER[each.severity], _FIRST.index(each.sort)))
    for each in conflicts[:CONFLICTS_MAX]:
        observation = _observation(draft, part, each)
        topic.statements.append(_issue(draft, part, each, topic.add(observation)))
    topic.conclusion += [_said(draft, each) for each in conflicts[:SHOWN_MAX]]
    if (more := len(conflicts[:CONFLICTS_MAX]) - SHOWN_MAX) > 0:
        topic.conclusion.append(say(draft.language, "reconciliation-more", count=more))
    agreements = [each for each in found if each.sort is Sort.AGREEMENT][:AGREEMENTS_MAX]
    if agreements:
        made = _agreements(draft, part, agreements)
        topic.add(made)
        topic.conclusion.append(str(made["valueString"]))


def _said(draft: Draft, each: Compared) -> str:
    return text(each.zh if draft.language == "zh" else each.en)


def _code(draft: Draft, sort: Sort) -> Json:
    name = "agreement" if sort is Sort.AGREEMENT else _NAMES.get(sort, "conflict")
    return {
        "coding": [{"system": SYSTEM, "code": sort.value}],
        "text": say(draft.language, f"reconciliation-{name}"),
    }


def _observation(draft: Draft, part: Part, each: Compared) -> Json:
    made = draft.observation(part, f"{each.sort.value}-{each.key}", "category-exam", review=True)
    made["code"] = _code(draft, each.sort)
    made["valueString"] = _said(draft, each)
    made["extension"] = [span_extension(draft, span) for span in each.spans]
    if each.link:
        made["extension"].append(extension("source-link", valueUrl=each.link))
    return _with_sources(draft, made, each.places, each.spans)


def _with_sources(draft: Draft, made: Json, places: Iterable[str], spans: Iterable[Span]) -> Json:
    references = [{"reference": f"Observation/{place}"} for place in dict.fromkeys(places)]
    documents = dict.fromkeys(draft.id(span.part_id, "note", span.note_id) for span in spans)
    references += [{"reference": f"DocumentReference/{each}"} for each in documents]
    kept = {name: value for name, value in made.items() if value != []}
    return kept | ({"derivedFrom": references} if references else {})


def _issue(draft: Draft, part: Part, each: Compared, place: Json) -> Json:
    made: Json = {
        "resourceType": "DetectedIssue",
        "id": draft.id(part.part_id, f"issue-{each.sort.value}-{each.key}"),
        "meta": {"security": [codes.coding("aiast")]},
        "status": "preliminary",
        "code": _code(draft, each.sort),
        "severity": each.severity.value,
        "patient": draft.patient,
        "implicated": [place],
        "detail": _said(draft, each),
    }
    if each.places:
        detail = [{"reference": f"Observation/{one}"} for one in dict.fromkeys(each.places)]
        made["evidence"] = [{"detail": detail}]
    if each.link:
        made["reference"] = each.link
    return made


def _agreements(draft: Draft, part: Part, agreements: Sequence[Compared]) -> Json:
    language = draft.language
    items = [_said(draft, each) for each in agreements]
    made = draft.observation(part, "agreements", "category-exam")
    made["code"] = _code(draft, Sort.AGREEMENT)
    shown = listed(language, items[:SHOWN_MAX])
    made["valueString"] = say(language, "reconciliation-agrees", count=len(items), items=shown)
    made["component"] = [
        {
            "extension": [
                *(span_extension(draft, span) for span in each.spans),
                *(
                    extension("evidence", valueReference={"reference": f"Observation/{place}"})
                    for place in each.places
                ),
            ],
            "code": _code(draft, Sort.AGREEMENT),
            "valueString": _said(draft, each),
        }
        for each in agreements
    ]
    places = (place for each in agreements for place in each.places)
    spans = (span for each in agreements for span in each.spans)
    return _with_sources(draft, made, places, spans)
