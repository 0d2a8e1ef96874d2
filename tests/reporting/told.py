"""Cases told in words: a note as the notes service reads it, results, findings on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1 import imaging_findings_pb2 as images
from dxmesh.labs.v1 import lab_findings_pb2 as labs

from services.kernel import fhir
from services.nlp.findings import findings as read
from services.nlp.notes import note_of
from services.reporting.compose import compose
from services.reporting.draft import Draft, Kind, Outcome, Part
from services.reporting.words import Language

TIME = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CODES = {
    **{
        "k": ("2823-3", "钾", "Potassium", "mmol/L"),
        "hgb": ("718-7", "血红蛋白", "Haemoglobin", "g/L"),
    },
    **{
        "wbc": ("6690-2", "白细胞", "Leukocytes", "10*9/L"),
        "inr": ("6301-6", "INR", "INR", "{INR}"),
    },
    **{"crp": ("1988-5", "CRP", "CRP", "mg/L"), "alt": ("1742-6", "ALT", "ALT", "U/L")},
    **{"creatinine": ("14682-9", "肌酐", "Creatinine", "umol/L")},
    **{"d-dimer": ("48065-7", "D-二聚体", "D-dimer", "mg/L{FEU}")},
    **{"tnt": ("67151-1", "高敏肌钙蛋白T", "hs-Troponin T", "ng/L")},
}
N, L, H, LL, HH = (getattr(labs, f"FLAG_{name}") for name in (
    "NORMAL", "LOW", "HIGH", "CRITICAL_LOW", "CRITICAL_HIGH"))  # fmt: skip


def result(name: str, value: str, flag: int, time: str = "") -> labs.LabResult:
    """A result in its canonical unit."""
    loinc, zh, en, unit = CODES[name]
    return labs.LabResult(
        observation_id=f"{name}-{value}",
        loinc_code=loinc,
        display_zh=zh,
        display_en=en,
        value_text=value,
        unit_text=unit,
        canonical_value=value,
        canonical_unit=unit,
        flag=flag,
        effective_time=time,
    )


def model(kind: Kind) -> ModelUse:
    return ModelUse(name=f"model-{kind.value}", version="1", model_sha256="a" * 64, runtime="rules")


def part(kind: Kind, findings: Any) -> Part:
    return Part(f"{kind.value}-1", kind, Outcome.COMPLETED, findings, models=[model(kind)])


def case(
    *texts: str,
    results: Sequence[labs.LabResult] = (),
    risks: Sequence[labs.Risk] = (),
    scores: Sequence[labs.Score] = (),
    seen: images.ImagingFindings | None = None,
    language: Language = "zh",
) -> Draft:
    """A case of what is given; parts of which nothing is given are not there."""
    parts = []
    if seen is not None:
        parts.append(part(Kind.IMAGING, seen))
    if results or risks or scores:
        found = labs.LabFindings(results=results, scores=scores, risks=risks)
        parts.append(part(Kind.LABS, found))
    if texts:
        notes = [note_of(text, f"n{number}") for number, text in enumerate(texts)]
        parts.append(part(Kind.NOTES, read(notes, language)))
    return Draft(
        case_id="0f9e1c52-6c1b-5a0e-9d5b-2f6a0c7b1d11",
        subject="S3f8a1b2c4d5e6f708192a3b4",
        language=language,
        version=1,
        received=TIME,
        due=TIME,
        composed=TIME,
        parts=parts,
    )


def resources(draft: Draft, kind: str = "") -> list[dict[str, Any]]:
    """The resources of the composed Bundle, as they travel."""
    bundle = fhir.parse(fhir.dump(compose(draft).bundle))
    found = [entry["resource"] for entry in bundle["entry"]]
    return [each for each in found if not kind or each["resourceType"] == kind]


def coded(draft: Draft, system: str) -> dict[str, list[dict[str, Any]]]:
    """Observations whose code is of one of our systems, by code."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in resources(draft, "Observation"):
        for coding in each["code"].get("coding", []):
            if coding["system"] == f"urn:dxmesh:{system}":
                found.setdefault(coding["code"], []).append(each)
    return found


def scan(*findings: images.Finding, none: Sequence[int] = ()) -> images.ImagingFindings:
    """A CT with findings; `none`: the functions that looked and found nothing."""
    functions = {finding.function for finding in findings}
    answers = [
        images.Answer(
            function=function,
            series_instance_uid="1.2",
            probability=0.02 if function in none else 0.9,
            operating_point=0.5,
            looked_for=["1386000"],
        )
        for function in sorted(functions | set(none))
    ]
    return images.ImagingFindings(
        series=[images.SeriesUse(series_instance_uid="1.2", study_instance_uid="1.1", read=True)],
        findings=[_placed(each) for each in findings],
        answers=answers,
    )


def _placed(finding: images.Finding) -> images.Finding:
    finding.place.series_instance_uid = "1.2"
    return finding


def nodule(side: int, mm: float) -> images.Finding:
    return images.Finding(
        finding_id="nodule-1",
        function=images.FUNCTION_NODULES,
        kind="nodule",
        laterality=side,
        probability=0.9,
        measures=[images.Measure(name="long-axis", value=mm, unit="mm")],
    )


def haemorrhage(kind: str = "subdural") -> images.Finding:
    return images.Finding(
        finding_id="haemorrhage-1",
        function=images.FUNCTION_HAEMORRHAGE,
        kind="haemorrhage",
        laterality=images.LATERALITY_LEFT,
        probability=0.9,
        urgent=True,
        qualities=[images.Quality(name="type", value=kind)],
        measures=[images.Measure(name="volume", value=22, unit="mL")],
    )


def in_english(draft: Draft) -> Draft:
    return replace(draft, language="en")
