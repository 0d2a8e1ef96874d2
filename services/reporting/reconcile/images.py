"""What the notes say of images against what the analysis found: there or not, side, size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.reporting import imaging_observations as images
from services.reporting import imaging_words, stated
from services.reporting.draft import Draft
from services.reporting.elements import text
from services.reporting.reconcile.model import Compared, Severity, Sort
from services.reporting.suggestions.facts import KINDS, LANGUAGES, finding_words
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Span
from services.reporting.words import Language, say

TERMS: Mapping[str, frozenset[str]] = {
    "nodule": frozenset(("Lung nodule", "Ground-glass nodule")),
    "haemorrhage": frozenset(
        (
            *("Cerebral hemorrhage", "Intracranial hemorrhage", "Subarachnoid hemorrhage"),
            *("Subdural hematoma", "Epidural hematoma", "Intraventricular hemorrhage"),
            *("Cerebellar hemorrhage", "Thalamic hemorrhage"),
        )
    ),
    "fracture": frozenset(("Fracture", "Bone fracture")),
}
"""Mentions that speak of what a reading looks for."""
SITES = {
    "wrist": "腕|桡骨|尺骨|wrist|radius|ulna",
    "hand": "手|掌骨|指骨|hand|metacarp|phalan",
    "ankle": "踝|ankle|malleol",
    "foot": "足|跖骨|foot|metatars",
    "forearm": "前臂|桡骨|尺骨|forearm|radius|ulna",
    "elbow": "肘|elbow|olecranon",
    "shoulder": "肩|肱骨|shoulder|humer",
    "hip": "髋|股骨颈|hip|femoral neck",
    "knee": "膝|髌骨|knee|patella",
}
"""Words of the place of a fracture: one of another bone is not the one that was looked for."""
_HEAD = re.compile(r"颅|脑|头|brain|head|intracranial", re.IGNORECASE)
_LEFT = re.compile(r"左(?![右氧旋])|\bleft\b", re.IGNORECASE)
_RIGHT = re.compile(r"(?<!左)右|\bright\b", re.IGNORECASE)
_SIZE = re.compile(
    r"(?P<value>[0-9]{1,3}(?:\.[0-9]{1,2})?)(?:\s*[×xX*]\s*[0-9.]{1,5})?\s*"
    r"(?P<unit>mm|cm|毫米|厘米)",
    re.IGNORECASE,
)
_EDGE = re.compile(r"[。；;\n]|[,，](?![0-9])|\.(?=\s)")
_END = re.compile(r"[。；;\n]|\.(?=\s|$)")
SIDE_CHARS, SIZE_CHARS = 12, 30
_SIDES = {pb.LATERALITY_LEFT: "left", pb.LATERALITY_RIGHT: "right"}


@dataclass(frozen=True, slots=True)
class _Said:
    """A mention of what a reading looks for."""

    kind: str
    denied: bool
    side: str
    written: str
    """From the beginning of its clause, so that a denial is seen."""
    around: str
    """The clause and what follows of its sentence."""
    span: Span


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the images show of one kind: findings, or that there is none."""

    findings: tuple[tuple[pb.Finding, str], ...] = ()
    """Each with its Observation."""
    none: str = ""
    """Observation that says that none was found."""


def compare(draft: Draft, known: Known) -> Iterator[Compared]:
    """Yield each kind of finding that the notes speak of at most once as this or that."""
    seen = _seen(draft, known)
    told: set[tuple[str, Sort, str]] = set()
    for said in _said(draft):
        if made := _compared(said, seen.get(said.kind, _Seen())):
            what = (said.kind, made.sort, said.side)
            if what not in told:
                told.add(what)
                yield made


def _seen(draft: Draft, known: Known) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for part in draft.parts:
        found = part.findings
        if not isinstance(found, pb.ImagingFindings):
            continue
        for finding in found.findings:
            for place in known.places(part, finding.finding_id):
                old = seen.get(finding.kind, _Seen())
                seen[finding.kind] = _Seen((*old.findings, (finding, place)), old.none)
        for answer in found.answers:
            kind = KINDS.get(answer.function, "")
            local = f"answer-{answer.function}-{answer.series_instance_uid}"
            if answer.looked_for and not images.is_positive(found, answer):
                for place in known.places(part, local):
                    old = seen.get(kind, _Seen())
                    seen[kind] = _Seen(old.findings, place)
    return seen


def _said(draft: Draft) -> Iterator[_Said]:
    for part in draft.parts:
        found = part.findings
        if not isinstance(found, notes.NoteFindings):
            continue
        texts = {note.note_id: note.text for note in found.notes}
        for entity in found.entities:
            aside = entity.other_person or entity.historical or entity.planned or entity.conditional
            sure = entity.certainty in (notes.CERTAINTY_AFFIRMED, notes.CERTAINTY_NEGATED)
            if aside or not sure or entity.resolved or entity.section in stated.ELSEWHERE:
                continue
            around = _around(texts.get(entity.span.note_id, ""), entity.span)
            if kind := _kind(entity, around):
                span = Span(part.part_id, entity.span.note_id, entity.span.start, entity.span.end)
                denied = entity.certainty == notes.CERTAINTY_NEGATED
                side = _side(texts.get(entity.span.note_id, ""), entity)
                written = around[: around.find(entity.text) + len(entity.text)]
                yield _Said(kind, denied, side, text(written), around, span)


def _kind(entity: notes.Entity, around: str) -> str:
    for kind, terms in TERMS.items():
        if entity.display_en in terms:
            return kind
    is_head = entity.display_en == "Bleeding" and _HEAD.search(around)
    return "haemorrhage" if is_head else ""


def _around(whole: str, span: notes.Span) -> str:
    """Return the clause that a mention stands in, with what follows of its sentence."""
    first = max(0, span.start - SIZE_CHARS)
    start = max((m.end() for m in _EDGE.finditer(whole, first, span.start)), default=first)
    end = _END.search(whole, span.end, span.end + SIZE_CHARS)
    return whole[start : end.start() if end else span.end + SIZE_CHARS]


def _side(whole: str, entity: notes.Entity) -> str:
    start = max(0, entity.span.start - SIDE_CHARS)
    edge = max((m.end() for m in _EDGE.finditer(whole, start, entity.span.start)), default=start)
    before = whole[edge : entity.span.end]
    left, right = _LEFT.search(before), _RIGHT.search(before)
    return "" if bool(left) is bool(right) else "left" if left else "right"


def _compared(said: _Said, seen: _Seen) -> Compared | None:
    findings = [each for each in seen.findings if _same_place(said, each[0])]
    if said.denied:
        if not findings:
            return None
        severity = Severity.HIGH if said.kind == "haemorrhage" else Severity.MODERATE
        return _made(said, "conflict-image-absent", findings, severity)
    if not findings:
        missing = seen.none and not seen.findings and said.kind != "fracture"
        return _missing(said, seen.none) if missing else None
    sides = {_SIDES.get(finding.laterality, "") for finding, _ in findings}
    other = {"left": "right", "right": "left"}.get(said.side)
    if other and sides == {other}:
        return _made(said, "conflict-image-side", findings, Severity.HIGH)
    same = [each for each in findings if said.side == _SIDES.get(each[0].laterality, "")]
    return _made(said, "agrees-image", same or findings, Severity.LOW)


def _same_place(said: _Said, finding: pb.Finding) -> bool:
    """Tell whether a finding may be what a mention speaks of: of a fracture the same bone."""
    if said.kind != "fracture":
        return True
    words = SITES.get(finding.site, "")
    return bool(words and re.search(words, said.around, re.IGNORECASE))


def _made(
    said: _Said, key: str, findings: Sequence[tuple[pb.Finding, str]], severity: Severity
) -> Compared:
    largest, _ = max(findings, key=lambda each: _long_mm(each[0]))
    size = _SIZE.search(said.around)
    quoted = text(said.around[: size.end()] if size else said.written)
    sized = key == "agrees-image" and size is not None and _long_mm(largest) > 0
    zh, en = (_sentence(said, key, quoted, largest, language, sized) for language in LANGUAGES)
    sort = Sort.AGREEMENT if key == "agrees-image" else Sort.IMAGE
    places = tuple(place for _, place in findings)
    name = f"{said.kind}-{key.rpartition('-')[2]}-{said.side or 'any'}"
    return Compared(sort, name, zh, en, (said.span,), places, severity)


def _sentence(
    said: _Said, key: str, quoted: str, finding: pb.Finding, language: Language, sized: bool
) -> str:
    facts = {"quoted": quoted, "finding": finding_words(language, finding)}
    if key == "conflict-image-side":
        other = _SIDES[finding.laterality]
        facts |= {"side": say(language, f"side-{said.side}")}
        facts |= {"other": say(language, f"side-{other}")}
    if sized:
        measure = next(each for each in finding.measures if each.name == "long-axis")
        facts["size"] = imaging_words.quantity(language, measure)
        return say(language, "agrees-image-size", **facts)
    return say(language, key, **facts)


def _missing(said: _Said, place: str) -> Compared:
    function = next(number for number, kind in KINDS.items() if kind == said.kind)
    zh, en = (
        say(
            language,
            "conflict-image-missing",
            quoted=said.written,
            finding=say(
                language,
                "none-found-name",
                name=imaging_words.label(language, say(language, f"function-{function}")),
            ),
        )
        for language in LANGUAGES
    )
    name = f"{said.kind}-missing"
    return Compared(Sort.IMAGE, name, zh, en, (said.span,), (place,), Severity.MODERATE)


def _long_mm(finding: pb.Finding) -> float:
    return next((each.value for each in finding.measures if each.name == "long-axis"), 0.0)
