"""Cases told as a physician tells them, through laboratory, notes and suggestions together."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as images

from services.labs import findings as laboratory
from services.labs import panel
from services.reporting.draft import Kind
from services.reporting.suggestions import catalogue
from services.reporting.suggestions.facts import facts_of
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Weighed
from tests.reporting import told

CASES = tomllib.loads((Path(__file__).parent / "data" / "physician_cases.toml").read_text())["case"]
SIGNS = "http://terminology.hl7.org/CodeSystem/observation-category"
FIRST = 3


def seen(name: str) -> images.ImagingFindings | None:
    match name:
        case "haemorrhage":
            return told.scan(told.haemorrhage("intraparenchymal"))
        case "nodule":
            return told.scan(told.nodule(images.LATERALITY_RIGHT, 24.0))
        case "no-fracture":
            return told.scan(none=[images.FUNCTION_FRACTURES])
        case "no-haemorrhage":
            return told.scan(none=[images.FUNCTION_HAEMORRHAGE])
    return None


def observation(number: int, row: str) -> dict[str, Any]:
    """Return the Observation of "LOINC value unit"; a value that is no number stays text."""
    code, value, *unit = row.split(" ")
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "effectiveDateTime": "2026-11-24T09:30:00+08:00",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
    }
    plain = value.lstrip("<>")
    try:
        quantity: dict[str, Any] = {"value": float(plain), "unit": unit[0], "code": unit[0]}
    except (ValueError, IndexError):
        return {**made, "valueString": " ".join((value, *unit))}
    quantity["system"] = "http://unitsofmeasure.org"
    if plain != value:
        quantity["comparator"] = value[0]
    return {**made, "valueQuantity": quantity}


def suggested(case: dict[str, Any]) -> list[Weighed]:
    draft = told.case(case["note"], seen=seen(case.get("seen", "")))
    if rows := case.get("results"):
        subject = {"sex": case["sex"], "age_years": case["age"]}
        sent = {"subject": subject, "observations": [observation(*r) for r in enumerate(rows)]}
        found = laboratory.findings(panel.read(orjson.dumps(sent)))
        draft = replace(draft, parts=[*draft.parts, told.part(Kind.LABS, found)])
    known = Known(draft, frozenset())
    return list(catalogue.engine().weigh(facts_of(known)).suggested)


@pytest.mark.requirement("DX-SUG-11")
@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_what_a_physician_thinks_of_is_among_the_first(case: dict[str, Any]) -> None:
    names = [each.condition.id for each in suggested(case)]
    if case["wanted"]:
        assert set(case["wanted"]) & set(names[:FIRST]), names
    else:
        assert names == []


@pytest.mark.requirement("DX-SUG-11")
def test_the_cases_are_of_every_kind() -> None:
    kinds = Counter(case["kind"] for case in CASES)
    assert kinds["typical"] >= 20 and kinds["atypical"] >= 6
    assert kinds["trivial"] + kinds["healthy"] >= 7
