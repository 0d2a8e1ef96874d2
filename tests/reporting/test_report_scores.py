"""Scores in a report: inputs in the reader's words, and each gap of one that was not computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.reporting.compose import compose
from services.reporting.draft import Draft

pytestmark = pytest.mark.requirement("DX-LAB-22")


def lacking(reason: str, **facts: str) -> Refusal:
    return Refusal(reason=reason, message=reason, facts={"input": "alt", **facts})


def gap(refusal: Refusal) -> pb.ScoreGap:
    names = {"display_en": "Alanine aminotransferase", "display_zh": "丙氨酸氨基转移酶"}
    return pb.ScoreGap(name="alt", refusal=refusal, **names)


def reported(draft: Draft, score: pb.Score) -> dict[str, Any]:
    """Return the Observation that the report makes of a score."""
    (part,) = (each for each in draft.parts if each.part_id == "labs-1")
    found = part.findings
    assert isinstance(found, pb.LabFindings)
    del found.scores[:]
    found.scores.append(score)
    resources = [entry["resource"] for entry in compose(draft).bundle["entry"]]
    name = score.display_zh if draft.language == "zh" else score.display_en
    (made,) = (r for r in resources if r.get("code", {}).get("text") == name)
    return dict(made)


def test_each_gap_is_told_in_the_readers_words(draft: Callable[..., Draft]) -> None:
    refusals = [
        lacking("MISSING_INPUT", because="WRONG_DIMENSION"),
        lacking("STALE_INPUT", age_h="1200", max_h="720"),
    ]
    score = pb.Score(
        score_id="fib-4",
        display_en="Fibrosis-4 index",
        display_zh="肝纤维化FIB-4指数",
        not_computed=refusals[0],
        gaps=[gap(each) for each in refusals],
    )
    chinese = [note["text"] for note in reported(draft("zh"), score)["note"]]
    assert chinese[0].startswith("未计算：丙氨酸氨基转移酶（缺少计算所需的项目")
    assert "WRONG" not in chinese[0] and "720" in chinese[1]
    english = [note["text"] for note in reported(draft("en"), score)["note"]]
    assert english[0].startswith("Not computed: Alanine aminotransferase (an input is missing")


def test_inputs_that_were_stated_and_the_caution_are_shown(draft: Callable[..., Draft]) -> None:
    score = pb.Score(
        score_id="curb-65",
        display_en="CURB-65 points",
        display_zh="CURB-65评分",
        value="1",
        unit="1",
        note_zh="用于社区获得性肺炎。",
        source="Lim WS",
        inputs=[pb.ScoreInput(name="confusion", value="yes", display_zh="新发意识模糊")],
    )
    made = reported(draft("zh"), score)
    assert [note["text"] for note in made["note"]] == ["用于社区获得性肺炎。"]
    assert made["component"] == [{"code": {"text": "新发意识模糊"}, "valueString": "是"}]


def test_pregnancy_is_told_of_the_person_and_not_of_her_sex(draft: Callable[..., Draft]) -> None:
    refusal = Refusal(reason="PREGNANCY", message="it does not hold in pregnancy")
    names = {"display_en": "Sex", "display_zh": "性别"}
    score = pb.Score(
        score_id="egfr",
        display_en="Estimated GFR",
        display_zh="估算肾小球滤过率",
        not_computed=refusal,
        gaps=[pb.ScoreGap(name="sex", refusal=refusal, **names)],
    )
    [chinese] = [note["text"] for note in reported(draft("zh"), score)["note"]]
    assert chinese == "未计算：妊娠期不适用"
    [english] = [note["text"] for note in reported(draft("en"), score)["note"]]
    assert english == "Not computed: not applicable in pregnancy"
