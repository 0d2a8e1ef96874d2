"""The catalogue, stated values, the gRPC answers and the process behind `dxmesh scores`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from dxmesh.labs.v1 import labs_service_pb2 as pb

from services.kernel.errors import InvalidInput, NotFound, TooLarge
from services.labs.panel import LabPart, Subject
from services.labs.scores import desk
from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.facts import LEADING
from services.labs.scores.inputs import QUALITIES
from services.labs.scores.stated import Stated, read
from services.labs.service import PANEL_BYTES_MAX, LabsService

pytestmark = pytest.mark.requirement("DX-LAB-24")
NOBODY = LabPart(Subject(), ())
MAN = (Stated("age", "62"), Stated("sex", "男"))


def value(score_id: str, *items: Stated) -> str:
    (found,) = desk.compute(NOBODY, items, [score_id])
    return found.shown or (found.reason.reason if found.reason else "")


def test_every_score_says_all_that_a_reader_needs_in_both_languages() -> None:
    for each in CATALOGUE.values():
        told = desk.shown(each)
        assert told["en"] and told["zh"] and told["source"] and told["formula"]
        assert told["link"].startswith("https://")
        assert bool(told["note_en"]) == bool(told["note_zh"])
        assert all(band["en"] and band["zh"] for band in told["bands"])
        assert all(need["en"] and need["zh"] for need in told["needs"])
        limits = [band["from"].lstrip(">≥") for band in told["bands"]][1:]
        assert limits == sorted(limits, key=float), "bands rise"
    names = [each.name_en for each in CATALOGUE.values()]
    assert len(set(names)) == len(names)
    used = {w.quality.name for each in CATALOGUE.values() for w in each.wanted}
    assert used | LEADING == QUALITIES.keys(), "an input that no score needs"


def test_stated_values_convert_where_that_is_certain() -> None:
    grams = value("corrected-calcium", Stated("ca", "8.0", "mg/dL"), Stated("albumin", "20", "g/L"))
    assert grams == value(
        "corrected-calcium", Stated("ca", "1.996", "mmol/L"), Stated("albumin", "2")
    )
    liver = (Stated("ast", "71", "IU/L"), Stated("alt", "62"), Stated("plt", "132", "×10^9/L"))
    assert value("fib-4", *MAN, *liver) == "4.24"
    signs = [Stated("respiratory-rate", "24"), Stated("heart-rate", "95"), Stated("wbc", "13")]
    for degrees in (Stated("temperature", "38.5"), Stated("temperature", "101.3", "°F")):
        assert value("sirs", *MAN, *signs, degrees) == "4"


def test_what_was_stated_replaces_what_was_measured() -> None:
    old = Stated("creatinine", "1.0", "", "2020-01-01")
    assert value("egfr-ckd-epi-2021", *MAN, Stated("creatinine", "1.9")) == "39.4"
    fresh = Stated("height", "170", "", "2026-01-01")
    assert value("egfr-ckd-epi-2021", *MAN, old, fresh) == "STALE_INPUT"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (Stated("ast", "high"), "not a number"),
        (Stated("ast", "NaN"), "measurement can have"),
        (Stated("ast", "71", "mmol/L"), "does not measure"),
        (Stated("ast", "71", "bananas"), "not known"),
        (Stated("ascites", "3"), "whole number, 0 to 2"),
        (Stated("ascites", "1.5"), "whole number"),
        (Stated("confusion", "maybe"), "yes or no"),
        (Stated("temperature", "38", "mmol/L"), "Cel"),
        (Stated("age", "210"), "0 to 130"),
        (Stated("sex", "x"), "male or female"),
        (Stated("creatinine", "1", "", "yesterday"), "date or time"),
        (Stated("weather", "1"), "no such input"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_quoted(item: Stated, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read([item], Subject())
    (violation,) = refused.value.violations
    assert violation.path == item.name and says in violation.problem
    assert len(item.value) < 3 or item.value not in violation.problem.split()


def test_without_ids_those_that_fit_are_computed() -> None:
    found = desk.compute(NOBODY, [Stated("na", "128"), Stated("glucose", "600", "mg/dL")], [])
    assert [each.score_id for each in found if each.value is not None] == ["corrected-sodium"]


async def test_grpc_lists_and_computes() -> None:
    service = LabsService()
    listed = (await service.ListScores(pb.ListScoresRequest(), None)).scores
    assert [each.score_id for each in listed] == list(CATALOGUE)
    (sodium,) = (i for s in listed if s.score_id == "meld-na" for i in s.inputs if i.name == "na")
    assert (sodium.unit, sodium.low, sodium.high, sodium.fresh_hours) == (
        "mmol/L",
        "90",
        "200",
        168,
    )
    request = pb.ComputeScoresRequest(
        panel_json=b'{"subject": {"sex": "female", "age_years": 50}, "observations": []}',
        values=[pb.StatedValue(name="creatinine", value="1.0", unit="mg/dL")],
        score_ids=["egfr-ckd-epi-2021", "fib-4"],
    )
    egfr, fib4 = (await service.ComputeScores(request, None)).scores
    assert (egfr.value, egfr.inputs[0].value) == ("68.6", "1.0")
    assert [gap.name for gap in fib4.gaps] == ["ast", "alt", "plt"]
    with pytest.raises(NotFound):
        await service.ComputeScores(pb.ComputeScoresRequest(score_ids=["x"]), None)
    with pytest.raises(TooLarge):
        large = pb.ComputeScoresRequest(panel_json=b" " * (PANEL_BYTES_MAX + 1))
        await service.ComputeScores(large, None)


@pytest.mark.parametrize("request_", [{}, {"do": "show"}, {"do": "compute", "scores": ["x"]}])
def test_a_request_that_cannot_be_answered_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises((InvalidInput, NotFound)):
        desk.answer(request_)


def test_answers_are_json() -> None:
    request = {
        "do": "compute",
        "scores": ["homa-ir"],
        "values": [{"input": "insulin", "value": "9"}],
    }
    (found,) = json.loads(json.dumps(desk.answer(request)))["scores"]
    assert found["value"] == "" and found["lacks"][0]["reason"] == "AGE_UNKNOWN"
    assert len(desk.answer({"do": "list"})["scores"]) == len(CATALOGUE)


def test_catalogue_page_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "make_scores.py"
    spec = importlib.util.spec_from_file_location("make_scores", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text("utf-8") == made.page(), "run python docs/make_scores.py"
