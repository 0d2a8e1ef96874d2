"""Laboratory results over time in a report, and vital signs beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.gateway.pdf import results as pdf
from services.kernel import fhir
from services.reporting.compose import compose
from services.reporting.draft import Draft
from services.reporting.over_time import span

CREATININE = pb.LabResult(
    observation_id="lab-1",
    loinc_code="14682-9",
    display_en="Creatinine",
    display_zh="肌酐",
    value_text="177",
    unit_text="umol/L",
    canonical_value="177",
    canonical_unit="umol/L",
    flag=pb.FLAG_HIGH,
    effective_time="2024-03-05T08:00:00Z",
    earlier=[
        pb.EarlierResult(value="95", hours_before=72.5, effective_time="2024-03-02T07:30:00Z"),
        pb.EarlierResult(value="80", hours_before=2400, flag=pb.FLAG_NORMAL),
    ],
    change=pb.Change(
        earlier_value="95",
        hours=72.5,
        difference="+82",
        percent=86.3,
        verdict=pb.CHANGE_VERDICT_RISE,
        fall_limit_percent=-13.7,
        rise_limit_percent=15.9,
        variation_source="EFLM",
        delta_limit="40 umol/L + 50 %",
        delta_hours=72,
        delta_source="own limit",
    ),
    trend=pb.Trend(
        direction=pb.TREND_DIRECTION_RISING,
        count=3,
        hours=2400,
        slope="+0.8",
        slope_unit="umol/L/d",
    ),
)
PULSE = pb.LabResult(
    observation_id="lab-2",
    loinc_code="8867-4",
    display_en="Heart rate",
    display_zh="心率",
    value_text="118",
    unit_text="次/分",
    canonical_value="118",
    canonical_unit="/min",
    category="vital-signs",
    effective_time="2024-03-05T08:00:00Z",
)


def bundle(draft: Draft, *results: pb.LabResult) -> dict[str, Any]:
    (part,) = (each for each in draft.parts if each.part_id == "labs-1")
    found = part.findings
    assert isinstance(found, pb.LabFindings)
    for field in (found.results, found.scores, found.risks):
        del field[:]
    found.results.extend(results)
    made = fhir.parse(fhir.dump(compose(draft).bundle))
    assert fhir.problems(made) == []
    return dict(made)


def named(found: dict[str, Any], name: str) -> dict[str, Any]:
    resources = [entry["resource"] for entry in found["entry"]]
    (made,) = (r for r in resources if r.get("code", {}).get("text") == name)
    return dict(made)


def conclusion(found: dict[str, Any]) -> str:
    return str(found["entry"][0]["resource"]["conclusion"])


@pytest.mark.requirement("DX-LAB-61")
def test_earlier_values_are_components_with_their_distance(draft: Callable[..., Draft]) -> None:
    made = named(bundle(draft("en"), CREATININE), "Creatinine")
    one, two, change, trend = made["component"]
    assert one["code"]["text"] == "Result 3 days before"
    assert two["code"]["text"] == "Result 3 months before"
    (hours,) = one["extension"]
    assert hours["url"].endswith(":hours-before") and str(hours["valueDecimal"]) == "72.50"
    assert str(one["valueQuantity"]["value"]) == "95" and "interpretation" not in one
    assert two["interpretation"][0]["coding"][0]["code"] == "N"
    assert str(change["valueQuantity"]["value"]) == "82"
    assert trend["valueQuantity"]["code"] == "umol/L/d"


@pytest.mark.requirement("DX-LAB-61")
def test_an_earlier_answer_is_in_the_readers_words(draft: Callable[..., Draft]) -> None:
    before = [
        pb.EarlierResult(value="negative", hours_before=50),
        pb.EarlierResult(value="AB", hours_before=900),
    ]
    answer = pb.LabResult(
        observation_id="lab-3", display_zh="乙肝表面抗原", value_text="阳性", earlier=before
    )
    made = named(bundle(draft("zh"), answer), "乙肝表面抗原")
    assert [each["valueString"] for each in made["component"]] == ["阴性", "AB"]


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_change_delta_check_and_trend_are_said_in_words(
    draft: Callable[..., Draft], language: str
) -> None:
    found = bundle(draft(language), CREATININE)
    name = "肌酐" if language == "zh" else "Creatinine"
    notes = [each["text"] for each in named(found, name)["note"]]
    assert len(notes) == 3
    assert all(figure in notes[0] for figure in ("+82", "+86.3", "95", "+15.9", "EFLM"))
    assert "40 µmol/L + 50 %" in notes[1] and "+0.8" in notes[2]
    line = next(each for each in conclusion(found).splitlines() if "95" in each)
    assert name in line and "177" in line and "+82" in line


@pytest.mark.requirement("DX-LAB-61")
def test_no_date_stands_in_the_words(draft: Callable[..., Draft]) -> None:
    found = bundle(draft("en"), CREATININE)
    made = named(found, "Creatinine")
    words = [each["text"] for each in made["note"]]
    words += [each["code"]["text"] for each in made["component"]]
    assert not re.search(r"20\d\d-\d\d", " ".join(words) + conclusion(found))


@pytest.mark.requirement("DX-LAB-61")
def test_a_change_within_the_variation_is_no_line_of_the_conclusion(
    draft: Callable[..., Draft],
) -> None:
    quiet = pb.LabResult()
    quiet.CopyFrom(CREATININE)
    quiet.ClearField("trend")
    quiet.change.CopyFrom(
        pb.Change(
            earlier_value="172",
            hours=24,
            difference="+5",
            percent=2.9,
            verdict=pb.CHANGE_VERDICT_WITHIN,
            fall_limit_percent=-13.7,
            rise_limit_percent=15.9,
        )
    )
    found = bundle(draft("en"), quiet)
    assert "172" not in conclusion(found)
    (note,) = named(found, "Creatinine")["note"]
    assert note["text"].endswith("24 h before: within the reference change value.")


@pytest.mark.requirement("DX-LAB-65")
def test_a_sign_is_no_laboratory_result(draft: Callable[..., Draft]) -> None:
    found = bundle(draft("zh"), PULSE, CREATININE)
    made = named(found, "心率")
    assert made["category"][0]["coding"][0]["code"] == "vital-signs"
    assert made["meta"]["profile"] == ["urn:dxmesh:fhir:StructureDefinition:sign"]
    assert made["valueQuantity"]["code"] == "/min" and made["valueQuantity"]["unit"] == "次/分"
    assert "interpretation" not in made and "referenceRange" not in made
    assert "心率" not in conclusion(found)


@pytest.mark.requirement("DX-LAB-61")
def test_the_document_does_not_take_an_earlier_value_for_a_conversion(
    draft: Callable[..., Draft],
) -> None:
    (row,) = pdf.results(bundle(draft("en"), CREATININE), "en")
    assert len(row["notes"]) == 3 and not any("80 " in each for each in row["notes"])


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize(
    ("hours", "words"),
    [(0.5, "30 min"), (47, "47 h"), (96, "4 days"), (2200, "3 months"), (20000, "2.3 years")],
)
def test_a_span_is_rounded_to_its_unit(hours: float, words: str) -> None:
    assert span("en", hours) == words
