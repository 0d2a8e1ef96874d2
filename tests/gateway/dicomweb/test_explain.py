"""What an operator is told of a study: which reading took which series, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import (
    FUNCTION_FRACTURES,
    FUNCTION_NODULES,
    Decision,
    SeriesUse,
)
from dxmesh.imaging.v1.imaging_service_pb2 import ExplainCaseResponse, ListModelsResponse

from tests.gateway.dicomweb.images import STUDY

pytestmark = pytest.mark.requirement("DX-IMG-99")


def told() -> ExplainCaseResponse:
    answer = ExplainCaseResponse()
    part = answer.parts.add(part_id="imaging-1")
    part.series.append(
        SeriesUse(series_instance_uid="2.25.5", modality="CT", slices=40, spacing_mm=2.5, read=True)
    )
    why = Refusal(
        reason="ANOTHER_KIND_OF_IMAGE", message="another kind", facts={"source": "VOLUME"}
    )
    part.decisions.extend(
        [
            Decision(
                function=FUNCTION_NODULES, series_instance_uid="2.25.5", rule="chest", read=True
            ),
            Decision(
                function=FUNCTION_FRACTURES, series_instance_uid="2.25.5", rule="xray", refusal=why
            ),
        ]
    )
    answer.running.add(part_id="imaging-2", reader="pathology", done=0.25)
    return answer


async def test_study_is_explained_by_its_uid_and_by_its_case(held: Any, setting: Any) -> None:
    held.peers.explained[setting.CASE_ID] = told()
    await held.get(f"/dicom-web/studies/{STUDY}")  # the first question indexes what came
    for asked in (STUDY, setting.CASE_ID):
        answer = await held.get(f"/ops/imaging/{asked}", "operator")
        assert answer.status_code == 200, answer.text
        (case,) = answer.json()["cases"]
        assert case["case_id"] == setting.CASE_ID
        assert case["running"] == [{"part": "imaging-2", "reading": "pathology", "done": 0.25}]
        (series,) = case["parts"][0]["series"]
        assert (series["modality"], series["slices"], series["read"]) == ("CT", 40, True)
        nodules, fractures = series["readings"]
        assert (nodules["reading"], nodules["rule"], nodules["read"]) == ("nodules", "chest", True)
        assert fractures["reason"] == "ANOTHER_KIND_OF_IMAGE"
        assert fractures["facts"] == {"source": "VOLUME"}


async def test_what_is_not_there_or_another_tenants_is_not_found(held: Any, setting: Any) -> None:
    held.peers.explained["case-of-others"] = told()
    for asked in ("1.2.3.4", "case-of-others", setting.CASE_ID):
        answer = await held.get(f"/ops/imaging/{asked}", "operator")
        assert answer.status_code == 404, asked


async def test_operators_alone_are_told(held: Any, setting: Any) -> None:
    held.peers.explained[setting.CASE_ID] = told()
    for path in ("/ops/models", f"/ops/imaging/{setting.CASE_ID}"):
        assert (await held.get(path, "ehr")).status_code == 403
        assert (await held.http.get(path)).status_code == 401


async def test_models_are_listed(held: Any) -> None:
    listed = ListModelsResponse()
    listed.models.add(name="m", version="1", ready=False, card_json='{"title": "finds"}')
    held.peers.reads = listed
    answer = await held.get("/ops/models", "operator")
    assert answer.json() == {
        "models": [{"name": "m", "version": "1", "ready": False, "card": {"title": "finds"}}]
    }
