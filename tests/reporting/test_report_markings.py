"""Where a physician says a finding lies, and what was missed: feedback to learn from."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.feedback_given_pb2 import (
    SHAPE_BOX,
    SHAPE_ELLIPSE,
    VERDICT_ADD,
    VERDICT_AGREE,
    VERDICT_EDIT,
    Marking,
)
from dxmesh.reporting.v1 import reporting_service_pb2 as pb

from services.kernel import subjects
from services.reporting.signing import NotReviewed, check_added, check_verdicts


def marking(**changes: Any) -> Marking:
    said = {
        "shape": SHAPE_BOX, "series_instance_uid": "2.25.1", "sop_instance_uid": "2.25.2",
        "left": 10.5, "top": 20, "right": 30, "bottom": 44.25,
    }  # fmt: skip
    return Marking(**(said | changes))


def added(number: int = 1, **changes: Any) -> pb.AddedFinding:
    said = {"added_id": f"added-{number}", "kind": "nodule", "text": "missed", "marking": marking()}
    return pb.AddedFinding(**(said | changes))


@pytest.mark.requirement("DX-VIE-09")
async def test_markings_and_added_findings_become_feedback(world: Any) -> None:
    await world.everything()
    case = world.case()
    findings = (await world.service._store.versions("demo", case.case_id))[0].findings
    verdicts = [pb.FindingVerdict(finding_id=each, verdict=VERDICT_AGREE) for each in findings]
    verdicts[0].verdict = VERDICT_EDIT
    verdicts[0].marking.CopyFrom(marking(shape=SHAPE_ELLIPSE, frame=3))
    request = pb.SignReportRequest(
        tenant="demo", case_id=case.case_id, version=1, signer="s", request_id="r",
        verdicts=verdicts, added=[added(1), added(2, kind="other")],
    )  # fmt: skip
    await world.service.SignReport(request, None)
    given = {each.finding_id: each for each in world.bus.published(subjects.FEEDBACK_GIVEN)}
    assert len(given) == len(findings) + 2
    moved = given[verdicts[0].finding_id]
    assert moved.verdict == VERDICT_EDIT and moved.marking == verdicts[0].marking
    assert not given[verdicts[1].finding_id].HasField("marking")
    new = given["added-1"]
    assert (new.verdict, new.kind, new.correction) == (VERDICT_ADD, "nodule", "missed")
    assert new.marking == marking() and new.model_name == ""


@pytest.mark.requirement("DX-VIE-09")
def test_what_could_not_be_learned_from_is_refused() -> None:
    check_added([added()])
    for wrong in (
        [added(), added()],
        [added(added_id="nodule-1")],
        [added(kind="cat")],
        [added(text="x" * 8001)],
        [added(marking=marking(right=10.5))],
        [added(marking=marking(top=-1))],
        [added(marking=marking(right=float("nan")))],
        [added(marking=marking(sop_instance_uid="../x"))],
        [added(marking=marking(shape=0))],
        [added(n) for n in range(101)],
    ):
        with pytest.raises(NotReviewed):
            check_added(wrong)


@pytest.mark.requirement("DX-VIE-09")
def test_a_marking_goes_with_edit_and_needs_no_words() -> None:
    moved = pb.FindingVerdict(finding_id="f", verdict=VERDICT_EDIT, marking=marking())
    check_verdicts([moved], {"f"})
    for wrong in (
        pb.FindingVerdict(finding_id="f", verdict=VERDICT_AGREE, marking=marking()),
        pb.FindingVerdict(finding_id="f", verdict=VERDICT_ADD),
        pb.FindingVerdict(finding_id="f", verdict=VERDICT_EDIT, marking=marking(left=99)),
    ):
        with pytest.raises(NotReviewed):
            check_verdicts([wrong], {"f"})
