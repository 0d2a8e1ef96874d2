"""A case as the analysis services would hand it over, made by hand; nobody's data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_deidentified_pb2 import SetAside
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as imaging_pb
from dxmesh.labs.v1 import lab_findings_pb2 as labs_pb
from dxmesh.nlp.v1 import note_findings_pb2 as notes_pb

from services.reporting.draft import Draft, Kind, Outcome, Part
from services.reporting.words import Language

CASE_ID = "0f9e1c52-6c1b-5a0e-9d5b-2f6a0c7b1d11"
SUBJECT = "S3f8a1b2c4d5e6f708192a3b4"
MADE_AT = datetime(2026, 11, 24, 3, 0, 30, tzinfo=UTC)
NOTE = (
    "主诉：咳嗽3周，伴体重下降。\n"
    "现病史：无咯血、胸痛，否认发热。外院胸部CT提示左肺下叶结节，不排除肺癌可能。\n"
    "既往史：高血压病史10年。\n"
    "过敏史：青霉素过敏，表现为皮疹。\n"
    "用药史：氨氯地平片 5mg 每日一次。\n"
    "家族史：父亲因肺癌去世。\n"
)


def model(name: str, version: str, digit: str, runtime: str) -> ModelUse:
    return ModelUse(
        name=name,
        version=version,
        model_sha256=digit * 64,
        input_sha256=digit * 32 + "0" * 32,
        runtime=runtime,
    )


def nodule(
    number: int, box: tuple[int, int, int, int], size: tuple[float, float, float], p: float
) -> imaging_pb.Nodule:
    long_mm, short_mm, volume = size
    left, top, right, bottom = box
    return imaging_pb.Nodule(
        finding_id=f"nodule-{number}",
        center=imaging_pb.PointMm(x=62.4, y=35.6, z=-118.75),
        sop_instance_uid=f"2.25.7700{number}",
        series_instance_uid="2.25.880",
        slice_index=88 + number,
        box=imaging_pb.PixelBox(left=left, top=top, right=right, bottom=bottom),
        long_axis_mm=long_mm,
        short_axis_mm=short_mm,
        volume_mm3=volume,
        mean_hu=31.4,
        consistency=imaging_pb.CONSISTENCY_SOLID,
        laterality=imaging_pb.LATERALITY_LEFT,
        zone=imaging_pb.LUNG_ZONE_LOWER,
        probability=p,
        first_slice_index=86,
        last_slice_index=93,
    )


def imaging_findings() -> imaging_pb.ImagingFindings:
    nodules = [
        nodule(1, (300, 340, 352, 392), (31.24, 24.9, 7762.0), 0.9713),
        nodule(2, (150, 210, 164, 222), (7.1, 5.8, 131.6), 0.6102),
    ]
    images = [
        imaging_pb.KeyImage(
            image_id=f"key-{each.finding_id}",
            blob=BlobRef(scope=CASE_ID, name=f"findings/key-{each.finding_id}.png", size=181_204),
            sop_instance_uid=each.sop_instance_uid,
            width_px=512,
            height_px=512,
            window_center_hu=-600,
            window_width_hu=1500,
            finding_ids=[each.finding_id],
        )
        for each in nodules
    ]
    series = [
        imaging_pb.SeriesUse(
            series_instance_uid="2.25.880",
            study_instance_uid="2.25.990",
            modality="CT",
            slices=133,
            spacing_mm=2.5,
            pixel_mm=0.703125,
            read=True,
        ),
        imaging_pb.SeriesUse(
            series_instance_uid="2.25.881",
            study_instance_uid="2.25.990",
            modality="CT",
            slices=2,
            refusal=Refusal(
                reason="TOO_FEW_SLICES", message="too few slices", facts={"slices": "2"}
            ),
        ),
    ]
    return imaging_pb.ImagingFindings(
        series=series,
        nodules=nodules,
        key_images=images,
        operating_point=0.5,
        looked_for=["427359005"],
    )


def result(
    id_: str, names: tuple[str, str], value: str, unit: str, *, loinc: str = "", **more: object
) -> labs_pb.LabResult:
    made = labs_pb.LabResult(
        observation_id=id_,
        loinc_code=loinc,
        display_zh=names[0],
        display_en=names[1],
        source_display=names[0],
        value_text=value,
        unit_text=unit,
        effective_time="2025-07-02T09:20:00+08:00",
    )
    for name, each in more.items():
        if name == "why":
            made.not_interpreted.CopyFrom(Refusal(reason=str(each), message="see the reason"))
        else:
            setattr(made, name, each)
    return made


def lab_findings() -> labs_pb.LabFindings:
    lab_range = {"range_source": "WS/T 404"}
    k, creatinine = ("钾", "Potassium"), ("肌酐", "Creatinine")
    return labs_pb.LabFindings(
        results=[
            result(
                "obs-9",
                k,
                "6.80",
                "mmol/L",
                loinc="2823-3",
                canonical_value="6.80",
                canonical_unit="mmol/L",
                flag=labs_pb.FLAG_CRITICAL_HIGH,
                range_low="3.5",
                range_high="5.3",
                critical_source="CLSI GP47",
                **lab_range,
            ),
            result(
                "obs-12",
                creatinine,
                "1.90",
                "mg/dL",
                loinc="2160-0",
                canonical_value="168",
                canonical_unit="umol/L",
                flag=labs_pb.FLAG_HIGH,
                range_low="57",
                range_high="97",
                **lab_range,
            ),
            result(
                "obs-4",
                ("血红蛋白", "Haemoglobin"),
                "118",
                "g/L",
                loinc="718-7",
                canonical_value="118",
                canonical_unit="g/L",
                flag=labs_pb.FLAG_LOW,
                range_low="130",
                range_high="175",
                **lab_range,
            ),
            result(
                "obs-8",
                ("钠", "Sodium"),
                "139",
                "mmol/L",
                loinc="2951-2",
                canonical_value="139",
                canonical_unit="mmol/L",
                flag=labs_pb.FLAG_NORMAL,
                range_low="137",
                range_high="147",
                **lab_range,
            ),
            result(
                "obs-18",
                ("肌钙蛋白I", "Troponin I"),
                "<0.01",
                "ng/mL",
                loinc="10839-9",
                why="VALUE_HAS_COMPARATOR",
            ),
            result("obs-19", ("癌胚抗原", "CEA"), "", "", loinc="2039-6", why="NO_VALUE"),
            result("obs-21#1", ("", ""), "weakly positive", "", why="UNKNOWN_CODE"),
        ],
        scores=[
            labs_pb.Score(
                score_id="egfr-ckd-epi-2021",
                loinc_code="98979-8",
                display_zh="eGFR（CKD-EPI 2021）",
                display_en="eGFR (CKD-EPI 2021)",
                value="39",
                unit="mL/min/{1.73_m2}",
                category_en="G3b",
                category_zh="G3b期",
                source="Inker LA et al., NEJM 2021",
                inputs=[
                    labs_pb.ScoreInput(
                        name="creatinine", value="168", unit="umol/L", observation_id="obs-12"
                    ),
                    labs_pb.ScoreInput(name="age", value="62", unit="a"),
                    labs_pb.ScoreInput(name="sex", value="male"),
                ],
            ),
            labs_pb.Score(
                score_id="fib-4",
                display_zh="FIB-4",
                display_en="FIB-4",
                source="Sterling RK et al., Hepatology 2006",
                not_computed=Refusal(reason="MISSING_INPUT", facts={"missing": "platelets"}),
            ),
        ],
        risks=[
            labs_pb.Risk(
                risk_id="hyperkalaemia-severe",
                text_zh="血钾 6.80 mmol/L，重度高钾血症。立即心电图并处理，同时排除溶血。",
                text_en="Potassium 6.80 mmol/L, severe hyperkalaemia. Urgent ECG and treatment.",
                evidence_ids=["obs-9"],
                source="UK Kidney Association, Acute hyperkalaemia in adults (2023)",
            )
        ],
    )


def span(text: str) -> notes_pb.Span:
    start = NOTE.index(text)
    return notes_pb.Span(note_id="note-1", start=start, end=start + len(text))


SUMMARY: dict[str, list[str]] = {
    "zh": ["咳嗽3周，伴体重下降。", "高血压病史10年。", "青霉素过敏。"],
    "en": [
        "Cough for 3 weeks with weight loss.",
        "Hypertension for 10 years.",
        "Penicillin allergy.",
    ],
}


def note_findings(language: Language) -> notes_pb.NoteFindings:
    def entity(number: int, kind: int, words: str, **more: object) -> notes_pb.Entity:
        made = notes_pb.Entity(
            entity_id=f"entity-{number}", kind=kind, text=words, span=span(words)
        )
        for name, value in more.items():
            setattr(made, name, value)
        return made

    problem, affirmed = notes_pb.ENTITY_KIND_PROBLEM, notes_pb.CERTAINTY_AFFIRMED
    return notes_pb.NoteFindings(
        notes=[notes_pb.NoteText(note_id="note-1", language="zh", text=NOTE)],
        entities=[
            entity(
                1,
                problem,
                "咳嗽",
                section=notes_pb.SECTION_CHIEF_COMPLAINT,
                certainty=affirmed,
                display_en="Cough",
                display_zh="咳嗽",
                code="HP:0012735",
            ),
            entity(
                2,
                problem,
                "咯血",
                section=notes_pb.SECTION_PRESENT_HISTORY,
                certainty=notes_pb.CERTAINTY_NEGATED,
                display_en="Haemoptysis",
                display_zh="咯血",
                code="HP:0002105",
            ),
            entity(
                3,
                notes_pb.ENTITY_KIND_ALLERGY,
                "青霉素",
                section=notes_pb.SECTION_ALLERGIES,
                certainty=affirmed,
                display_en="Penicillin",
                display_zh="青霉素",
            ),
            entity(
                4,
                notes_pb.ENTITY_KIND_MEDICATION,
                "氨氯地平片",
                section=notes_pb.SECTION_MEDICATIONS,
                certainty=affirmed,
                display_en="Amlodipine",
                display_zh="氨氯地平",
                dose="5mg 每日一次",
            ),
            entity(
                5,
                problem,
                "肺癌可能",
                section=notes_pb.SECTION_PRESENT_HISTORY,
                certainty=notes_pb.CERTAINTY_UNCERTAIN,
                display_en="Lung cancer",
                display_zh="肺癌",
            ),
        ],
        summary=[
            notes_pb.SummarySentence(
                text=SUMMARY[language][0],
                sources=[span("咳嗽3周，伴体重下降。")],
                section=notes_pb.SECTION_CHIEF_COMPLAINT,
            ),
            notes_pb.SummarySentence(
                text=SUMMARY[language][1],
                sources=[span("高血压病史10年。")],
                section=notes_pb.SECTION_PAST_HISTORY,
            ),
            notes_pb.SummarySentence(
                text=SUMMARY[language][2],
                sources=[span("青霉素过敏")],
                section=notes_pb.SECTION_ALLERGIES,
            ),
        ],
    )


def whole_case(language: Language = "zh") -> Draft:
    """Imaging, labs, notes; a second set of images that failed; a file set aside."""

    def at(second: int) -> datetime:
        return datetime(2026, 11, 24, 3, 0, second, tzinfo=UTC)

    parts = [
        Part(
            "imaging-1",
            Kind.IMAGING,
            Outcome.COMPLETED,
            imaging_findings(),
            models=[model("lung-nodule-scorer", "1.0.0", "a", "triton")],
            started=at(4),
            finished=at(21),
        ),
        Part(
            "labs-1",
            Kind.LABS,
            Outcome.COMPLETED,
            lab_findings(),
            models=[model("dxmesh-labs-rules", "1.0.0", "b", "rules")],
            started=at(4),
            finished=at(5),
        ),
        Part(
            "nlp-1",
            Kind.NOTES,
            Outcome.COMPLETED,
            note_findings(language),
            models=[model("dxmesh-notes-rules", "1.0.0", "c", "rules")],
            started=at(4),
            finished=at(6),
        ),
        Part(
            "imaging-2",
            Kind.IMAGING,
            Outcome.DECLINED,
            refusal=Refusal(
                reason="UNEVEN_SLICE_SPACING",
                message="the distances between slices differ",
                facts={"gap_mm": "7.5", "spacing_mm": "2.5"},
            ),
            started=at(4),
            finished=at(7),
        ),
    ]
    return Draft(
        case_id=CASE_ID,
        subject=SUBJECT,
        language=language,
        version=1,
        received=at(0),
        due=datetime(2026, 11, 24, 4, 0, tzinfo=UTC),
        composed=MADE_AT,
        parts=parts,
        set_aside=[
            SetAside(
                kind=PART_KIND_IMAGING,
                count=1,
                refusal=Refusal(reason="NOT_DICOM", message="not a DICOM file"),
            )
        ],
        deidentification=(at(1), at(3)),
    )


@pytest.fixture
def draft() -> Callable[..., Draft]:
    """Return the function that makes the whole case in a language."""
    return whole_case
