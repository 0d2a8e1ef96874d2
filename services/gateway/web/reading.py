"""A report as a physician reads it, from its FHIR Bundle. Pure.

The Bundle's shape is in docs/report.md. What is not there is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.gateway.conclusion import Line, lines_of
from services.gateway.fhir.submission import describe
from services.gateway.web.evidence import Evidence, evidence_of
from services.gateway.web.facts import PRESENT, facts_of
from services.gateway.web.kinds import (
    ORDER,
    STATEMENTS,
    is_absent,
    is_urgent,
    kind_of,
    needs_verdict,
    title_of,
    value_codes,
)
from services.gateway.web.laboratory import Result, laboratory
from services.gateway.web.notes import Note, Sentence, Span, notes_of, summary_of

Json = Mapping[str, Any]

EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
BLOBS = "urn:dxmesh:blob"
CRITICAL = frozenset({"HH", "LL"})


@dataclass(frozen=True, slots=True)
class Box:
    """Where a finding lies on a key image, pixels of that image."""

    finding: int
    left: int
    top: int
    width: int
    height: int


@dataclass(slots=True)
class Image:
    """A key image."""

    id: str
    binary_id: str
    caption: str
    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """What needs a verdict."""

    id: str
    number: int
    """From 1, in the order of the page."""
    kind: str
    """One of `kinds.ORDER`."""
    title: str
    text: str
    facts: list[tuple[str, str]]
    """Name and value, as measured."""
    model_name: str
    model_version: str
    image: int
    """Index of the key image it is drawn on; -1: none."""
    absent: bool
    """It says that something was looked for and not found."""
    urgent: bool = False
    """A physician must look at once."""
    notes: tuple[str, ...] = ()
    """What is said of it besides: what to ask or do next, what opposes it, how strong it is."""
    evidence: tuple[Evidence, ...] = ()
    source: str = ""
    """Paper or guideline of a rule."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the case page shows of a version."""

    patient: dict[str, str]
    language: str
    report_id: str
    conclusion: list[Line]
    findings: list[Finding]
    images: list[Image]
    criticals: list[Result]
    results: list[Result]
    scores: list[Result]
    sentences: list[Sentence]
    notes: list[Note]
    missing: list[str]
    models: list[tuple[str, str]]
    fallen: frozenset[str] = frozenset()
    """Ids of the results that were corrected since."""

    @property
    def rows(self) -> frozenset[str]:
        """Ids of the results and scores that have a row on the page."""
        return frozenset(each.id for each in (*self.results, *self.scores))

    @property
    def urgent(self) -> list[str]:
        """What is urgent on images, in a line each: what is marked, else what is measured.

        What has no place, such as a shifted midline without blood, is hidden by nothing marked.
        """
        found = [each for each in self.findings if each.urgent]
        placed = [each for each in found if each.image >= 0 or each.absent] or found
        return [
            " · ".join([*(" ".join(fact) for fact in each.facts), each.title])
            if each.absent
            else each.title
            for each in placed
        ]


def read(bundle: Json) -> Reading:
    """Return a report for the page; imaging first, then critical results, risks, notes."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    by_type: dict[str, list[Json]] = {}
    for resource in resources:
        by_type.setdefault(resource["resourceType"], []).append(resource)
    report = by_type["DiagnosticReport"][0]
    devices = {f"Device/{d['id']}": _device(d) for d in by_type.get("Device", [])}
    images = [_image(media) for media in by_type.get("Media", [])]
    found = [r for r in by_type.get("Observation", []) if needs_verdict(r)]
    found.sort(key=lambda r: ORDER.index(kind_of(r)))
    sentences, spans = summary_of(resources)
    evidence = _evidence(found, by_type.get("Observation", []), len(sentences) + 1, spans)
    findings = [
        _finding(n, r, devices, images, evidence.get(str(r["id"]), ()))
        for n, r in enumerate(found, 1)
    ]
    for image in images:
        image.boxes.sort(key=lambda box: box.finding)
    results, scores = laboratory(by_type.get("Observation", []))
    patient = by_type.get("Patient", [{}])[0]
    return Reading(
        patient=describe(patient),
        language=str(report.get("language", "en")),
        report_id=str(report["id"]),
        conclusion=lines_of(str(report.get("conclusion", ""))),
        findings=findings,
        images=images,
        criticals=[r for r in results if r.flag in CRITICAL],
        results=results,
        scores=scores,
        sentences=sentences,
        notes=notes_of(resources, spans),
        missing=_missing(report),
        models=list(devices.values()),
    )


def _evidence(
    found: list[Json], observations: list[Json], number: int, spans: list[Span]
) -> dict[str, tuple[Evidence, ...]]:
    """Return the evidence of each statement by its id; its places are added to `spans`."""
    by_id = {f"Observation/{each.get('id')}": each for each in observations}
    result: dict[str, tuple[Evidence, ...]] = {}
    for observation in found:
        if kind_of(observation) not in STATEMENTS.values():
            continue
        told = list(evidence_of(observation, by_id, number))
        result[str(observation["id"])] = tuple(each for each, _ in told)
        spans += [span for _, places in told for span in places]
        number += sum(bool(each.number) for each, _ in told)
    return result


def finding_texts(bundle: Json) -> dict[str, str]:
    """Return what each finding is called, by its id."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    return {str(r["id"]): title_of(r) for r in resources if needs_verdict(r)}


def badges(bundle: Json) -> dict[str, int]:
    """Return the counts the worklist shows: critical and abnormal, imaging findings.

    What is urgent on images counts as critical; what a reading says of a series as a whole is
    a finding where it marked no place.
    """
    found = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    results, _ = laboratory(found)
    imaging = [
        r for r in found if needs_verdict(r) and kind_of(r) == "imaging" and not is_absent(r)
    ]
    marked = [r for r in imaging if {PRESENT, *value_codes(r)} != {PRESENT}]
    absent = [r for r in found if needs_verdict(r) and kind_of(r) == "imaging" and is_absent(r)]
    urgent = [r for r in (*(marked or imaging), *absent) if is_urgent(r)]
    return {
        "critical": sum(r.flag in CRITICAL for r in results) + len(urgent),
        "abnormal": sum(r.flag in ("H", "L", "A") for r in results),
        "findings": len(marked or [r for r in imaging if value_codes(r)]),
    }


def image_binaries(bundle: Json) -> dict[str, str]:
    """Return the id of the Binary for each key image's blob, by the blob's name."""
    found: dict[str, str] = {}
    for entry in bundle["entry"]:
        media = entry["resource"]
        if media["resourceType"] != "Media":
            continue
        for identifier in media.get("identifier", []):
            if identifier.get("system") == BLOBS:
                found[identifier["value"]] = _binary_id(media)
    return found


def parts_of(extension: Json) -> dict[str, Any]:
    """Return the inner extensions of a compound one: short name → value."""
    inner: dict[str, Any] = {}
    for part in extension.get("extension", []):
        value = next((v for k, v in part.items() if k.startswith("value")), None)
        inner[part["url"].removeprefix(EXTENSION)] = value
    return inner


def extensions(resource: Json, name: str) -> list[Json]:
    """Return a resource's own extensions of one kind."""
    return [e for e in resource.get("extension", []) if e.get("url") == EXTENSION + name]


def _finding(
    number: int,
    resource: Json,
    devices: Mapping[str, tuple[str, str]],
    images: list[Image],
    evidence: tuple[Evidence, ...],
) -> Finding:
    drawn_on = -1
    for extension in extensions(resource, "pixel-box"):
        box = parts_of(extension)
        media_id = box["media"]["reference"].partition("/")[2]
        index = next((i for i, image in enumerate(images) if image.id == media_id), -1)
        if index >= 0:
            width, height = box["right"] - box["left"], box["bottom"] - box["top"]
            images[index].boxes.append(Box(number, box["left"], box["top"], width, height))
            drawn_on = index if drawn_on < 0 else drawn_on
    reference = resource.get("device", {}).get("reference", "")
    name, version = devices.get(reference, ("", ""))
    return Finding(
        id=str(resource["id"]),
        number=number,
        kind=kind_of(resource),
        title=title_of(resource),
        text=" ".join(note["text"] for note in resource.get("note", [])),
        facts=facts_of(resource) if kind_of(resource) == "imaging" else [],
        model_name=name,
        model_version=version,
        image=drawn_on,
        absent=is_absent(resource),
        urgent=kind_of(resource) == "imaging" and is_urgent(resource),
        notes=tuple(str(note["text"]) for note in resource.get("note", [])),
        evidence=evidence,
        source=str(resource.get("method", {}).get("text", "")),
    )


def _image(media: Json) -> Image:
    title = str(media.get("content", {}).get("title", ""))
    size = (int(media.get("width", 512)), int(media.get("height", 512)))
    return Image(str(media["id"]), _binary_id(media), title, *size)


def _binary_id(media: Json) -> str:
    return str(media.get("content", {}).get("url", "")).partition("/")[2]


def _device(device: Json) -> tuple[str, str]:
    names = device.get("deviceName", [{}])
    versions = device.get("version", [{}])
    return str(names[0].get("name", "")), str(versions[0].get("value", ""))


def _missing(report: Json) -> list[str]:
    """Return what is not in this version, and why, in the report's own words."""
    found = [parts_of(e) for name in ("part", "set-aside") for e in extensions(report, name)]
    return [str(part["message"]) for part in found if part.get("message")]
