"""Family history of the notes as FHIR has it: one resource for each relative, for programs.

It repeats mentions of the report that are affirmed of a relative, and rests on their Observations;
nothing of it is about the patient, and nothing is known beyond what a note says. A denied or
suspected illness makes none, nor one of somebody who is no family (a roommate).

Source: R4 FamilyMemberHistory; HL7 v3-RoleCode, FamilyMember.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import codes
from services.reporting.draft import Draft, Part
from services.reporting.elements import Json, extension, text
from services.reporting.mentions import HPO, ROLES
from services.reporting.words import say

ANYBODY = "FAMMEMB"
"""Code of a relative of whom the note does not say which."""
NO_FAMILY = frozenset(("ROOM", "FRND", "NBOR"))
"""Roles of the notes service that are outside FamilyMember."""


def compose(
    draft: Draft, part: Part, entities: Iterable[pb.Entity], made: Mapping[str, Json]
) -> list[Json]:
    """Return a FamilyMemberHistory for each relative; `made`: References by the mention's id."""
    members: dict[str, Json] = {}
    for entity in entities:
        if not _counts(entity):
            continue
        code, name = _relative(draft, entity)
        if code in NO_FAMILY:
            continue
        member = members.setdefault(f"{code}-{name}", _member(draft, part, code, name))
        member["condition"].append(_condition(draft, entity, made[entity.entity_id]))
    return list(members.values())


def _counts(entity: pb.Entity) -> bool:
    """Tell whether a mention says that somebody else has or had an illness."""
    aside = entity.planned or entity.conditional or not entity.other_person
    affirmed = entity.certainty == pb.CERTAINTY_AFFIRMED
    return entity.kind == pb.ENTITY_KIND_PROBLEM and affirmed and not aside


def _relative(draft: Draft, entity: pb.Entity) -> tuple[str, str]:
    """Return code and name of the relative that a mention names."""
    for each in entity.details:
        if each.kind == pb.DETAIL_KIND_RELATIVE and each.code:
            name = text(each.display_zh if draft.language == "zh" else each.display_en)
            return each.code, name or text(each.text)
    return ANYBODY, say(draft.language, "relative-unknown")


def _member(draft: Draft, part: Part, code: str, name: str) -> Json:
    return {
        "resourceType": "FamilyMemberHistory",
        "id": draft.id(part.part_id, "family", code, name),
        "meta": {"security": [codes.coding("aiast")]},
        "status": "partial",
        "patient": draft.patient,
        "relationship": {"coding": [{"system": ROLES, "code": code}], "text": name},
        "condition": [],
    }


def _condition(draft: Draft, entity: pb.Entity, mention: Json) -> Json:
    own = text(entity.display_zh if draft.language == "zh" else entity.display_en)
    said: Json = {"text": own or text(entity.text)}
    if entity.code.startswith("HP:"):
        said["coding"] = [{"system": HPO, "code": entity.code}]
    return {"extension": [extension("evidence", valueReference=mention)], "code": said}
