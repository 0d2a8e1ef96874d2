"""What the notes speak of: problems, medicines, allergies and procedures, each with its details."""

from __future__ import annotations

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import codes
from services.reporting.draft import Draft, Part
from services.reporting.elements import Json, text
from services.reporting.note_elements import (
    ENTITIES,
    Documents,
    component,
    derived,
    in_section,
    located,
)
from services.reporting.words import say

HPO = "http://human-phenotype-ontology.org"
ROLES = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_KINDS = {
    pb.ENTITY_KIND_PROBLEM: "problem",
    pb.ENTITY_KIND_MEDICATION: "medication",
    pb.ENTITY_KIND_ALLERGY: "allergy",
    pb.ENTITY_KIND_PROCEDURE: "procedure",
}
_CERTAINTIES = {
    pb.CERTAINTY_AFFIRMED: "affirmed",
    pb.CERTAINTY_NEGATED: "negated",
    pb.CERTAINTY_UNCERTAIN: "uncertain",
}
FLAGS = ("other-person", "historical", "planned", "conditional", "resolved")
"""Components that are there where they are true, after the fields of the same names."""
_DETAILS = {
    pb.DETAIL_KIND_RELATIVE: "relative",
    pb.DETAIL_KIND_SEVERITY: "severity",
    pb.DETAIL_KIND_SITE: "site",
    pb.DETAIL_KIND_COURSE: "course",
    pb.DETAIL_KIND_ONSET: "when",
    pb.DETAIL_KIND_DURATION: "duration",
    pb.DETAIL_KIND_AMOUNT: "amount",
    pb.DETAIL_KIND_QUIT: "quit",
    pb.DETAIL_KIND_SIZE: "size",
    pb.DETAIL_KIND_ROUTE: "route",
    pb.DETAIL_KIND_REACTION: "reaction",
}
"""Component of each kind of detail; a side has the component of the findings on images."""
_SIDES = frozenset(("left", "right", "bilateral"))
"""English names of sides, and their rows in the table of codes."""


def compose(draft: Draft, part: Part, entity: pb.Entity, documents: Documents) -> Json:
    """Return the Observation of a mention."""
    language = draft.language
    observation = draft.observation(part, entity.entity_id, "category-exam")
    observation["code"] = {
        "coding": [{"system": ENTITIES, "code": _KINDS.get(entity.kind, "problem")}],
        "text": say(language, f"entity-{entity.kind or pb.ENTITY_KIND_PROBLEM}"),
    }
    own = text(entity.display_zh if language == "zh" else entity.display_en)
    value: Json = {"text": own or text(entity.text)}
    if entity.code.startswith("HP:"):
        value["coding"] = [{"system": HPO, "code": entity.code}]
    observation["valueCodeableConcept"] = value
    components = [in_section(draft, entity.section)]
    if entity.certainty:
        said: Json = {
            "coding": [{"system": f"{ENTITIES}-certainty", "code": _CERTAINTIES[entity.certainty]}],
            "text": say(language, _said(entity)),
        }
        components.append(component(draft, "assertion", {"valueCodeableConcept": said}))
    if entity.dose:
        components.append(component(draft, "dose", {"valueString": text(entity.dose)}))
    for code in FLAGS:
        if getattr(entity, code.replace("-", "_")):
            components.append(component(draft, code, {"valueBoolean": True}))
    components += [made for each in entity.details for made in detail(draft, each, documents)]
    observation["component"] = components
    observation |= located(entity.span, documents)
    return observation | derived([entity.span], documents)


def detail(draft: Draft, said: pb.Detail, documents: Documents) -> list[Json]:
    """Return the component of a detail with its place; none of a kind that is not known here."""
    shown = text(said.display_zh if draft.language == "zh" else said.display_en)
    value: Json = {"valueCodeableConcept": {"text": shown}} if shown else {}
    if not shown and text(said.text):
        value = {"valueString": text(said.text)}
    if not value:
        return []
    place = located(said.span, documents)
    if said.kind == pb.DETAIL_KIND_SIDE:
        name = codes.concept("laterality", say(draft.language, "laterality-name"))
        if said.display_en in _SIDES:
            value = {"valueCodeableConcept": codes.concept(said.display_en, shown)}
        return [{"code": name} | value | place]
    if said.kind not in _DETAILS:
        return []
    if shown and (coding := _coding(said)):
        value["valueCodeableConcept"]["coding"] = [coding]
    return [component(draft, _DETAILS[said.kind], value) | place]


def _coding(said: pb.Detail) -> Json | None:
    if said.kind == pb.DETAIL_KIND_RELATIVE and said.code:
        return {"system": ROLES, "code": said.code}
    return {"system": HPO, "code": said.code} if said.code.startswith("HP:") else None


def _said(entity: pb.Entity) -> str:
    """Return the words for what is said of a mention: what is planned is not "suspected"."""
    named = (code for code in ("planned", "conditional", "resolved") if getattr(entity, code))
    if code := next(named, ""):
        return f"certainty-{code}"
    act = entity.kind == pb.ENTITY_KIND_PROCEDURE
    return f"certainty-{'act-' if act else ''}{entity.certainty}"
