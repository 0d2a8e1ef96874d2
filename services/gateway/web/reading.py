"""A report as a physician reads it, from its FHIR Bundle. Pure.

The Bundle's shape is in docs/report.md. What is not there is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.gateway.fhir.submission import describe
from services.gateway.signing import REVIEW_TAG
from services.gateway.web.facts import NOT_DETECTED, PRESENT, facts_of, quantity
from services.gateway.web.laboratory import Result, laboratory
from services.gateway.web.notes import Note, Sentence, notes

Json = Mapping[str, Any]

EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
BLOBS = "urn:dxmesh:blob"
CRITICAL = frozenset({"HH", "LL"})
ACTIONABLE_1 = "RID49480"
"""RadLex: ACR actionable finding category 1."""


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
    """imaging, laboratory, risk or notes."""
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


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the case page shows of a version."""

    patient: dict[str, str]
    language: str
    report_id: str
    conclusion: list[str]
    findings: list[Finding]
    images: list[Image]
    criticals: list[Result]
    results: list[Result]
    scores: list[Result]
    sentences: list[Sentence]
    notes: list[Note]
    missing: list[str]
    models: list[tuple[str, str]]

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
    found.sort(key=lambda r: ORDER.index(_kind(r)))
    findings = [_finding(n, r, devices, images) for n, r in enumerate(found, 1)]
    for image in images:
        image.boxes.sort(key=lambda box: box.finding)
    results, scores = laboratory(by_type.get("Observation", []))
    sentences, texts = notes(resources)
    patient = by_type.get("Patient", [{}])[0]
    return Reading(
        patient=describe(patient),
        language=str(report.get("language", "en")),
        report_id=str(report["id"]),
        conclusion=[line for line in str(report.get("conclusion", "")).split("\n") if line],
        findings=findings,
        images=images,
        criticals=[r for r in results if r.flag in CRITICAL],
        results=results,
        scores=scores,
        sentences=sentences,
        notes=texts,
        missing=_missing(report),
        models=list(devices.values()),
    )


ORDER = ("imaging", "laboratory", "risk", "notes")


def needs_verdict(resource: Json) -> bool:
    """Tell whether a physician must judge this before signing."""
    tags = resource.get("meta", {}).get("tag", [])
    return any((tag.get("system"), tag.get("code")) == REVIEW_TAG for tag in tags)


def finding_texts(bundle: Json) -> dict[str, str]:
    """Return what each finding is called, by its id."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    return {str(r["id"]): _title(r) for r in resources if needs_verdict(r)}


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
    imaging = [r for r in found if needs_verdict(r) and _kind(r) == "imaging" and not _absent(r)]
    marked = [r for r in imaging if {PRESENT, *_value_codes(r)} != {PRESENT}]
    absent = [r for r in found if needs_verdict(r) and _kind(r) == "imaging" and _absent(r)]
    urgent = [r for r in (*(marked or imaging), *absent) if is_urgent(r)]
    return {
        "critical": sum(r.flag in CRITICAL for r in results) + len(urgent),
        "abnormal": sum(r.flag in ("H", "L", "A") for r in results),
        "findings": len(marked or [r for r in imaging if _value_codes(r)]),
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
    number: int, resource: Json, devices: Mapping[str, tuple[str, str]], images: list[Image]
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
        kind=_kind(resource),
        title=_title(resource),
        text=" ".join(note["text"] for note in resource.get("note", [])),
        facts=facts_of(resource) if _kind(resource) == "imaging" else [],
        model_name=name,
        model_version=version,
        image=drawn_on,
        absent=_absent(resource),
        urgent=_kind(resource) == "imaging" and is_urgent(resource),
    )


def _kind(resource: Json) -> str:
    codings = resource.get("code", {}).get("coding", [])
    if any(coding.get("system") == "urn:dxmesh:risk" for coding in codings):
        return "risk"
    categories = [
        coding.get("code")
        for category in resource.get("category", [])
        for coding in category.get("coding", [])
    ]
    kinds = [kind for kind in ("imaging", "laboratory") if kind in categories]
    return kinds[0] if kinds else "notes"


def _title(resource: Json) -> str:
    kind, name = _kind(resource), str(resource.get("code", {}).get("text", ""))
    if kind == "laboratory":
        return f"{name} {quantity(resource.get('valueQuantity', {}))}".strip()
    value = resource.get("valueCodeableConcept", {}).get("text") or resource.get("valueString")
    if kind == "notes":
        return name
    return str(value or name)


def is_urgent(resource: Json) -> bool:
    """Tell whether an Observation says that a physician must look at once."""
    return any(
        coding.get("code") == ACTIONABLE_1
        for component in resource.get("component", [])
        for coding in component.get("valueCodeableConcept", {}).get("coding", [])
    )


def _absent(resource: Json) -> bool:
    return NOT_DETECTED in _value_codes(resource)


def _value_codes(resource: Json) -> list[str]:
    codings = resource.get("valueCodeableConcept", {}).get("coding", [])
    return [str(coding.get("code", "")) for coding in codings]


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
