"""Medicines of the notes against results, and against the allergies of the notes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.reporting.draft import Draft, Part
from services.reporting.elements import text
from services.reporting.reconcile.model import Compared, Severity, Sort
from services.reporting.suggestions import catalogue, features
from services.reporting.suggestions.facts import LANGUAGES
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Fact, Facts, Feature, Span
from services.reporting.words import Language, listed, say


@dataclass(frozen=True, slots=True)
class Check:
    """A medicine with a result that its label or a guideline says to look at."""

    id: str
    feature: Feature
    severity: Severity
    zh: str
    en: str
    source: str
    link: str
    checked: bool


@cache
def checks() -> tuple[Check, ...]:
    """Return the checks of the release."""
    return tuple(
        Check(
            id=each["id"],
            feature=features.feature(each["if"], catalogue.groups()),
            severity=Severity(each["severity"]),
            zh=each["zh"],
            en=each["en"],
            source=each["source"],
            link=each["link"],
            checked=each["checked"],
        )
        for each in _document("medicines")["check"]
    )


@cache
def classes() -> dict[str, frozenset[str]]:
    """Return, for each medicine or substance, everything of its class; itself alone without one."""
    groups = [frozenset(members) for members in _document("classes").values()]
    return {name: group for group in groups for name in group}


def _document(name: str) -> dict[str, Any]:
    folder = files("services.reporting").joinpath("data", "reconcile")
    return tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8"))


def compare(draft: Draft, known: Known, facts: Facts) -> Iterator[Compared]:
    """Yield medicines that a result speaks against, then those the notes list an allergy to."""
    for check in checks():
        if found := check.feature.found(facts):
            yield _against_result(check, found)
    yield from _against_allergies(draft, known)


def _against_result(check: Check, found: Sequence[Fact]) -> Compared:
    medicines = [each for each in found if each.key.startswith("med:")]
    others = [each for each in found if not each.key.startswith("med:")]
    zh, en = (_sentence(check, medicines, others, language) for language in LANGUAGES)
    spans = tuple(dict.fromkeys(span for each in medicines for span in each.spans))
    places = tuple(dict.fromkeys(p for each in (*others, *medicines) for p in each.places))
    return Compared(Sort.MEDICINE, check.id, zh, en, spans, places, check.severity, check.link)


def _sentence(
    check: Check, medicines: Sequence[Fact], others: Sequence[Fact], language: Language
) -> str:
    why = check.zh if language == "zh" else check.en
    named = [each.zh if language == "zh" else each.en for each in medicines]
    results = [each.zh if language == "zh" else each.en for each in others]
    said = say(
        language,
        "conflict-medicine",
        medicine=listed(language, list(dict.fromkeys(named))),
        result=listed(language, list(dict.fromkeys(results))),
        why=why,
    )
    return said[:1].upper() + said[1:]


_AVOIDED = re.compile(
    r"avoid|contraindicat|do not|don't|never|instead of|allerg"
    r"|禁用|禁忌|忌用|避免|勿用|不宜|不用|慎用|过敏",
    re.IGNORECASE,
)
AROUND_CHARS = 24
"""A medicine with such a word so near to it is not given: "avoid penicillins"."""


@dataclass(frozen=True, slots=True)
class _Named:
    entity: notes.Entity
    part: Part


def _against_allergies(draft: Draft, known: Known) -> Iterator[Compared]:
    """Yield each medicine that is taken or planned and that the notes list an allergy to."""
    listed_, taken = [], []
    for part in draft.parts:
        if not isinstance(part.findings, notes.NoteFindings):
            continue
        for entity in part.findings.entities:
            if entity.other_person or entity.conditional or not entity.display_en:
                continue
            affirmed = entity.certainty == notes.CERTAINTY_AFFIRMED
            if entity.kind == notes.ENTITY_KIND_ALLERGY and affirmed:
                listed_.append(_Named(entity, part))
            is_given = (affirmed and not entity.historical) or entity.planned
            if entity.kind != notes.ENTITY_KIND_MEDICATION or not is_given:
                continue
            if not _AVOIDED.search(_around(part.findings, entity.span)):
                taken.append(_Named(entity, part))
    told: set[tuple[str, str]] = set()
    for allergy in listed_:
        name = allergy.entity.display_en
        same = classes().get(name, frozenset((name,)))
        for medicine in taken:
            other = medicine.entity.display_en
            if other in same and (name, other) not in told:
                told.add((name, other))
                yield _allergic(allergy, medicine, known)


def _around(found: notes.NoteFindings, span: notes.Span) -> str:
    """Return the line of a mention, as far as it is near."""
    whole = next((note.text for note in found.notes if note.note_id == span.note_id), "")
    start = max(whole.rfind("\n", 0, span.start) + 1, span.start - AROUND_CHARS)
    end = whole.find("\n", span.end, span.end + AROUND_CHARS // 2)
    return whole[start : end if end >= 0 else span.end + AROUND_CHARS // 2]


def _allergic(allergy: _Named, medicine: _Named, known: Known) -> Compared:
    both = (allergy, medicine)
    zh, en = (
        say(
            language,
            "conflict-allergy",
            allergy=_display(allergy, language),
            medicine=_display(medicine, language),
        )
        for language in LANGUAGES
    )
    spans = tuple(
        Span(
            each.part.part_id,
            each.entity.span.note_id,
            each.entity.span.start,
            each.entity.span.end,
        )
        for each in both
    )
    places = tuple(p for each in both for p in known.places(each.part, each.entity.entity_id))
    key = f"{allergy.entity.display_en}-{medicine.entity.display_en}"
    return Compared(Sort.ALLERGY, key, zh, en, spans, places, Severity.HIGH)


def _display(named: _Named, language: Language) -> str:
    entity = named.entity
    return text(entity.display_zh if language == "zh" else entity.display_en) or text(entity.text)
