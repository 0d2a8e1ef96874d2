"""Findings of all four readings in one report: Observations, alerts, text, what was not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.gateway.profiles.conform import problems
from services.gateway.web import reading
from services.kernel import fhir
from services.reporting import imaging_words, tables
from services.reporting.compose import Composed, compose
from services.reporting.draft import Draft, Kind
from services.reporting.words import Language, why

HEAD, HAND, SLIDE = "2.25.801", "2.25.802", "2.25.803"
MODELS = [
    ModelUse(name=name, version="1.0.0", model_sha256=digit * 64, runtime="onnxruntime")
    for name, digit in (("head-ct", "d"), ("fractures", "e"), ("tumour", "f"))
]
Make = Callable[..., Composed]


def haemorrhage() -> pb.Finding:
    finding = pb.Finding(
        finding_id="haemorrhage-1",
        function=pb.FUNCTION_HAEMORRHAGE,
        kind="haemorrhage",
        laterality=pb.LATERALITY_LEFT,
        site="front-third",
        probability=0.962,
        urgent=True,
        tracking_uid="2.25.91",
        measures=[pb.Measure(name="volume", value=34.18, unit="mL")],
        qualities=[pb.Quality(name="type", value="subdural", probability=0.81)],
    )
    place = pb.Place(series_instance_uid=HEAD, sop_instance_uid="2.25.8011", slice_index=11)
    place.first_slice_index, place.last_slice_index = 9, 13
    place.center.CopyFrom(pb.PointMm(x=31.0, y=-12.5, z=40.0))
    place.box.CopyFrom(pb.PixelBox(left=10, top=20, right=60, bottom=90))
    finding.place.CopyFrom(place)
    return finding


def fracture() -> pb.Finding:
    finding = pb.Finding(
        finding_id="fracture-1",
        function=pb.FUNCTION_FRACTURES,
        kind="fracture",
        laterality=pb.LATERALITY_RIGHT,
        site="wrist",
        probability=0.71,
    )
    place = pb.Place(series_instance_uid=HAND, sop_instance_uid="2.25.8021")
    place.box.CopyFrom(pb.PixelBox(left=1, top=2, right=30, bottom=40))
    finding.place.CopyFrom(place)
    return finding


def found() -> pb.ImagingFindings:
    """A head CT with blood, a broken wrist, a slide of an unknown organ, an abdomen."""
    series = [
        pb.SeriesUse(series_instance_uid=uid, study_instance_uid=study, modality=kind, read=True)
        for uid, study, kind in (
            (HEAD, "2.25.991", "CT"), (HAND, "2.25.992", "DX"), (SLIDE, "2.25.993", "SM")
        )
    ]  # fmt: skip
    series.append(
        pb.SeriesUse(
            series_instance_uid="2.25.804", study_instance_uid="2.25.991", modality="MR", slices=20
        )
    )
    no = Refusal(reason="NOT_A_HEAD_CT", message="not a head CT", facts={"modality": "MR"})
    answers = [
        pb.Answer(
            function=pb.FUNCTION_HAEMORRHAGE,
            series_instance_uid=HEAD,
            probability=0.95,
            operating_point=0.5,
            measures=[pb.Measure(name="midline-shift", value=6.23, unit="mm")],
            statements=[
                pb.Statement(key="haemorrhage-shift", facts={"shift": "6.2"}),
                pb.Statement(key="haemorrhage-stat"),
                pb.Statement(key="haemorrhage-limits"),
            ],
            urgent=True,
            looked_for=["1386000"],
            models=["head-ct"],
        ),
        pb.Answer(
            function=pb.FUNCTION_FRACTURES,
            series_instance_uid=HAND,
            operating_point=0.3,
            looked_for=["125605004"],
            models=["fractures"],
        ),
        pb.Answer(
            function=pb.FUNCTION_PATHOLOGY,
            series_instance_uid=SLIDE,
            measures=[pb.Measure(name="density", value=1234.5, unit="/mm2", low=1100, high=1300)],
            statements=[pb.Statement(key="pathology-organ-unknown")],
            models=["tumour"],
        ),
    ]
    refused = pb.Decision(function=pb.FUNCTION_HAEMORRHAGE, series_instance_uid="2.25.804")
    refused.refusal.CopyFrom(no)
    return pb.ImagingFindings(
        series=series, findings=[haemorrhage(), fracture()], answers=answers, decisions=[refused]
    )


@pytest.fixture
def composed(draft: Callable[[Language], Draft]) -> Make:
    def make(language: Language, findings: pb.ImagingFindings | None = None) -> Composed:
        whole = draft(language)
        part = next(p for p in whole.parts if p.kind is Kind.IMAGING and p.findings)
        part = replace(part, findings=findings or found(), models=MODELS)
        return compose(replace(whole, parts=[part], set_aside=[]), together=False)

    return make


def resources(made: Composed, kind: str) -> list[dict[str, Any]]:
    bundle = fhir.parse(fhir.dump(made.bundle))
    found = [entry["resource"] for entry in bundle["entry"]]
    return [each for each in found if each["resourceType"] == kind]


def profile(resource: dict[str, Any]) -> str:
    return str(resource["meta"]["profile"][0]).rpartition(":")[2]


def conclusion(made: Composed) -> list[str]:
    return str(resources(made, "DiagnosticReport")[0]["conclusion"]).split("\n")


@pytest.mark.requirement("DX-OUT-14")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_reading_conforms_to_r4_and_to_our_profiles(
    composed: Make, language: Language
) -> None:
    bundle = fhir.parse(fhir.dump(composed(language).bundle))
    assert fhir.problems(bundle) == []
    for entry in bundle["entry"]:
        assert problems(entry["resource"]) == [], entry["resource"]["resourceType"]


@pytest.mark.requirement("DX-OUT-14")
def test_a_finding_says_where_what_how_sure_and_which_model(composed: Make) -> None:
    made = composed("en")
    blood, wrist, *_ = resources(made, "Observation")
    assert blood["valueCodeableConcept"]["coding"][0]["code"] == "1386000"
    assert blood["bodySite"] == {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "12738006", "display": "Brain structure"}
        ],
        "text": "left front third of the skull",
    }
    components = {
        coding["code"]: component
        for component in blood["component"]
        for coding in component["code"]["coding"]
    }
    assert str(components["118565006"]["valueQuantity"]["value"]) == "34.2"
    assert components["118565006"]["valueQuantity"]["code"] == "mL"
    assert str(components["111012"]["valueQuantity"]["value"]) == "96.2"
    kind = components["type"]
    assert kind["valueCodeableConcept"]["coding"][0]["code"] == "35486000"
    assert str(kind["extension"][0]["valueQuantity"]["value"]) == "81.0"
    assert blood["derivedFrom"][0]["identifier"]["value"] == "urn:oid:2.25.991"
    assert wrist["bodySite"]["coding"][0]["code"] == "74670003"
    assert wrist["derivedFrom"][0]["identifier"]["value"] == "urn:oid:2.25.992"
    names = {d["id"]: d["deviceName"][0]["name"] for d in resources(made, "Device")}
    devices = [
        names[o["device"]["reference"].partition("/")[2]] for o in resources(made, "Observation")
    ]
    assert devices == ["head-ct", "fractures", "head-ct", "tumour"]
    blood_id, wrist_id, head_id, slide_id = (o["id"] for o in resources(made, "Observation"))
    targets = {
        each["agent"][0]["who"]["display"]: [
            target["reference"].partition("/")[2] for target in each["target"]
        ]
        for each in resources(made, "Provenance")
    }
    assert targets == {
        "head-ct 1.0.0": [blood_id, head_id],
        "fractures 1.0.0": [wrist_id],
        "tumour 1.0.0": [slide_id],
    }


@pytest.mark.requirement("DX-OUT-15")
def test_a_series_is_answered_with_the_chance_in_words(composed: Make) -> None:
    observations = resources(composed("en"), "Observation")
    assert [profile(o) for o in observations] == ["finding", "finding", *["series-answer"] * 2]
    head, slide = observations[2:]
    assert head["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert "of 100 such in the development data, about 95 show it" in head["note"][1]["text"]
    assert "valueCodeableConcept" not in slide
    assert slide["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert slide["component"][0]["extension"][0]["valueRange"]["high"]["value"] == 1300


@pytest.mark.requirement("DX-OUT-15")
@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.5, ", about 50 show"), (0.998, ", more than 99 show"), (0.001, ", fewer than 1 show")],
)
def test_no_chance_is_rounded_to_certainty(composed: Make, probability: float, words: str) -> None:
    findings = found()
    findings.answers[0].probability = probability
    notes = resources(composed("en", findings), "Observation")[2]["note"]
    assert any(words in note["text"] for note in notes)


@pytest.mark.requirement("DX-OUT-15")
def test_nothing_found_names_what_was_looked_for(composed: Make) -> None:
    findings = found()
    del findings.findings[:]
    findings.answers[0].urgent = False
    findings.answers[0].probability = 0.02
    made = composed("en", findings)
    head, hand, slide = resources(made, "Observation")
    assert [profile(o) for o in (head, hand, slide)] == [
        "none-found",
        "none-found",
        "series-answer",
    ]
    assert head["component"][0]["code"]["coding"][0]["code"] == "1386000"
    assert (
        "Looked for in the images: intracranial haemorrhage, fractures; nothing else"
        in "\n".join(conclusion(made))
    )
    counts = reading.badges(fhir.parse(fhir.dump(made.bundle)))
    assert (counts["findings"], counts["critical"]) == (0, 0)


@pytest.mark.requirement("DX-OUT-15")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_second_reconstruction_of_a_finding_is_no_none_found(
    composed: Make, language: Language
) -> None:
    findings = found()
    del findings.findings[:]
    twin = findings.answers[1]  # a reading that speaks of single findings alone
    twin.reported_elsewhere = 2
    twin.qualities.add(name="lung-rads", value="4A")
    hand = resources(composed(language, findings), "Observation")[1]
    assert profile(hand) == "series-answer"
    assert hand["note"][0]["text"].count("2") == 1
    assert not [c for c in hand["component"] if "not-detected" in str(c)]


@pytest.mark.requirement("DX-OUT-15")
def test_a_probability_above_its_threshold_without_a_place_is_no_none_found(composed: Make) -> None:
    findings = found()
    del findings.findings[:]
    observations = resources(composed("en", findings), "Observation")
    assert profile(observations[0]) == "series-answer"
    assert "no place marked" in observations[0]["note"][0]["text"]


@pytest.mark.requirement("DX-OUT-16")
@pytest.mark.parametrize(("language", "word"), [("en", "Urgent finding"), ("zh", "危急影像所见")])
def test_what_is_urgent_stands_first_and_counts(
    composed: Make, language: Language, word: str
) -> None:
    made = composed(language)
    lines = conclusion(made)
    assert lines[1].startswith(word) and sum(line.startswith(word) for line in lines) == 1
    codes = [
        coding["code"]
        for concept in resources(made, "DiagnosticReport")[0]["conclusionCode"]
        for coding in concept["coding"]
    ]
    assert codes == ["1386000", "125605004", "RID49480"]
    counts = reading.badges(fhir.parse(fhir.dump(made.bundle)))
    assert (counts["findings"], counts["critical"]) == (2, 1)


@pytest.mark.requirement("DX-OUT-16")
@pytest.mark.parametrize(
    ("language", "word", "none"),
    [
        ("en", "Urgent on images: midline shift of 8.0 mm", "No sign"),
        ("zh", "影像危急所见", "未见"),
    ],
)
def test_a_shifted_midline_without_blood_alerts_and_marks_no_blood(
    composed: Make, language: Language, word: str, none: str
) -> None:
    findings = found()
    del findings.findings[:]
    head = findings.answers[0]
    head.probability, head.urgent = 0.1, True
    del head.statements[:]
    for key in ("none", "shift-alert", "none-but-shift", "stat"):
        head.statements.add(key=f"haemorrhage-{key}", facts={"shift": "8.0", "share": "10"})
    made = composed(language, findings)
    lines = conclusion(made)
    assert lines[1].startswith(word) and sum(word in line for line in lines) == 1
    assert any(line.startswith(none) for line in lines)
    observation = resources(made, "Observation")[0]
    assert profile(observation) == "none-found"
    codes = str(resources(made, "DiagnosticReport")[0]["conclusionCode"])
    assert "RID49480" in codes and "1386000" not in codes
    counts = reading.badges(fhir.parse(fhir.dump(made.bundle)))
    assert (counts["findings"], counts["critical"]) == (0, 1)


@pytest.mark.requirement("DX-OUT-16")
def test_what_is_urgent_without_a_place_is_not_hidden_by_what_is_marked(composed: Make) -> None:
    page = reading.read(fhir.parse(fhir.dump(composed("en").bundle)))
    marked = replace(page.findings[0], urgent=True, image=0, absent=False, title="Blood")
    shift = replace(marked, image=-1, absent=True, title="Shift", facts=[])
    assert replace(page, findings=[marked, shift]).urgent == ["Blood", "Shift"]


@pytest.mark.requirement("DX-OUT-17")
def test_the_text_has_the_order_of_a_radiology_report(composed: Make) -> None:
    lines = conclusion(composed("zh"))
    heads = [line for line in lines if line in ("印象：", "建议：", "说明：") or "所见：" in line]
    assert [head[-3:] for head in heads[1:]] == ["所见：", "印象：", "建议：", "说明："]
    parts = {head[-3:]: lines.index(head) for head in heads[1:]}
    assert parts["印象："] < lines.index("脑室层面中线移位6.2 mm，超过5 mm。") < parts["建议："]
    assert lines[parts["建议："] + 1].startswith("建议立即由医师复核")
    assert "第12层（自足侧起）" in lines[3]
    assert lines[1] == (
        "危急影像所见：颅内出血1，左侧颅腔前三分之一，体积34.2 ml，硬膜下血肿。请立即复核。"
    )
    assert "左侧颅腔前三分之一，体积34.2 ml，类型：硬膜下血肿（每100个这样的约81个）" in lines[3]
    assert "模型把握度96.2%，即开发数据中每100个这样的标记约96个属实" in lines[3]


@pytest.mark.requirement("DX-OUT-17")
@pytest.mark.parametrize(
    ("value", "unit", "zh", "en"),
    [
        (167.2, "d", "167天", "167 days"),
        (98.7, "%", "98.7%", "98.7%"),
        (54.8, "um2", "55 µm²", "55 µm²"),
        (6960.0, "/mm2", "6960/mm²", "6960/mm²"),
        (9.24, "mm", "9.2 mm", "9.2 mm"),
    ],
)
def test_units_are_written_as_reports_write_them(value: float, unit: str, zh: str, en: str) -> None:
    measure = pb.Measure(name="any", value=value, unit=unit)
    assert imaging_words.quantity("zh", measure) == zh
    assert imaging_words.quantity("en", measure) == en


@pytest.mark.requirement("DX-OUT-17")
@pytest.mark.parametrize(
    ("name", "value", "en", "zh"),
    [
        (
            "largest_brain_cm2",
            "149.85",
            "largest brain area 149.85 cm²",
            "最大脑组织面积 149.85 cm²",
        ),
        ("brain_cm2_min", "40", "brain ≥ 40 cm²", "脑组织面积 ≥ 40 cm²"),
        ("age_years", "12", "age 12 years", "年龄 12岁"),
        ("spacing_mm_max", "5", "spacing ≤ 5 mm", "层间距 ≤ 5 mm"),
        ("never_heard_of", "x", "never heard of x", "never heard of x"),
    ],
)
def test_numbers_of_a_refusal_are_written_for_people(
    name: str, value: str, en: str, zh: str
) -> None:
    refusal = Refusal(reason="WRONG_ORGAN", facts={name: value})
    assert f"({en})" in why("en", refusal) and f"（{zh}）" in why("zh", refusal)


@pytest.mark.requirement("DX-OUT-17")
def test_the_text_says_each_thing_once(composed: Make) -> None:
    findings = found()
    nodule = findings.findings[1]
    nodule.function, nodule.kind, nodule.finding_id = pb.FUNCTION_NODULES, "nodule", "nodule-1"
    nodule.statements.add(key="nodule-position", facts={"across": "66", "back": "88", "up": "62"})
    made = composed("en", findings)
    lines = conclusion(made)
    assert not any("Place in the lungs" in line for line in lines), "it serves the next reading"
    assert not any(line.startswith("Probability as a whole") for line in lines)
    assert any("Probability as a whole" in str(o["note"]) for o in resources(made, "Observation"))
    names = [
        component["code"]["text"]
        for observation in resources(made, "Observation")
        for component in observation["component"]
        if "text" in component["code"]
    ]
    assert names and all(name[:1].isupper() for name in names)


@pytest.mark.requirement("DX-OUT-17")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_unknown_name_or_sentence_is_shown(composed: Make, language: Language) -> None:
    findings = found()
    findings.findings[1].kind = "bone-cyst"
    findings.findings[1].site = "left-ear"
    findings.findings[1].measures.append(pb.Measure(name="wall-thickness", value=2, unit="mm"))
    findings.findings[1].qualities.append(pb.Quality(name="cyst-wall", value="thin-walled"))
    findings.answers[1].statements.append(pb.Statement(key="no-such-key", facts={"side": "left"}))
    findings.answers[0].statements[0].facts.clear()
    made = composed(language, findings)
    assert fhir.problems(fhir.parse(fhir.dump(made.bundle))) == []
    text = "\n".join(conclusion(made))
    for word in ("one cyst", "left ear", "wall thickness 2.0 mm", "cyst wall", "thin walled"):
        assert word.replace(" ", "") in text.replace(" ", ""), word
    assert "no such key" in text and "side left" in text and "haemorrhage shift" in text


@pytest.mark.requirement("DX-OUT-17")
@pytest.mark.parametrize(("language", "word"), [("en", "Series {}: "), ("zh", "影像序列{}：")])
def test_two_views_of_one_injury_say_which_of_them_they_speak_of(
    composed: Make, language: Language, word: str
) -> None:
    findings = found()
    other = findings.answers.add()
    other.CopyFrom(findings.answers[1])
    other.series_instance_uid = findings.series[3].series_instance_uid
    lines = conclusion(composed(language, findings))
    assert sum(line.startswith(word.format(2)) for line in lines) == 2  # the wrist, its count
    assert sum(line.startswith(word.format(4)) for line in lines) == 1  # none in the other view
    assert not [line for line in conclusion(composed(language)) if word[:3] == line[:3]]


@pytest.mark.requirement("DX-OUT-18")
@pytest.mark.parametrize(
    ("language", "reason"), [("en", "not a head CT"), ("zh", "不是可分析的头部CT")]
)
def test_a_series_that_nobody_read_is_named_with_the_reason(
    composed: Make, language: Language, reason: str
) -> None:
    last = conclusion(composed(language))[-1]
    assert reason in last and "MR" in last and "20" in last


@pytest.mark.requirement("DX-OUT-17")
def test_every_word_is_there_in_both_languages_with_the_same_facts() -> None:
    for row in tables.rows("words"):
        zh, en = row["zh"], row["en"]
        assert zh.strip() and en.strip(), row["key"]
        names = [{part.split("}")[0] for part in text.split("{")[1:]} for text in (zh, en)]
        assert names[0] == names[1], row["key"]
    sections = {row["section"] for row in tables.rows("sections")}
    assert sections <= {"alert", "findings", "impression", "recommendation", "remark", "unsaid"}
