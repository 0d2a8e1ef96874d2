"""What analysis may keep of a patient across cases, and how it is told to forget it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import subjects
from tests.anonymization.zone import NOTE, POTASSIUM, Mesh, send


@pytest.mark.requirement("DX-ID-30")
@pytest.mark.parametrize("purpose", ["TREAT", "HRESCH", "MODELTRAIN"])
async def test_only_results_for_treatment_may_be_kept(
    mesh: Mesh, bundle: Callable[..., bytes], purpose: str
) -> None:
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), [], purpose))
    (part,) = mesh.bus.published(subjects.PART_LABS)
    assert part.keep_history == (purpose == "TREAT")


@pytest.mark.requirement("DX-ID-30")
@pytest.mark.parametrize("code", ["N", "R", "V"])
@pytest.mark.parametrize("kind", ["Observation", "DocumentReference", "ServiceRequest", "Patient"])
async def test_what_is_restricted_is_not_kept_for_a_later_report(
    mesh: Mesh, bundle: Callable[..., bytes], kind: str, code: str
) -> None:
    sent = json.loads(bundle(NOTE, [POTASSIUM]))
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    for entry in sent["entry"]:
        if entry["resource"]["resourceType"] == kind:
            entry["resource"]["meta"] = {"security": [{"system": system, "code": code}]}
    await send(mesh, await mesh.receive(json.dumps(sent).encode(), []))
    (part,) = mesh.bus.published(subjects.PART_LABS)
    assert part.keep_history == (code == "N" or kind == "Patient")
    kept = await mesh.store.get("demo", part.case.case_id)
    analysed = kind in ("Observation", "DocumentReference")
    assert kept.confidentiality == (code if analysed and code != "N" else "")


@pytest.mark.requirement("DX-ID-30")
async def test_withdrawal_reaches_analysis_under_the_pseudonym_alone(
    mesh: Mesh, bundle: Callable[..., bytes]
) -> None:
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), []))
    (part,) = mesh.bus.published(subjects.PART_LABS)
    withdrawn = ConsentWithdrawn(
        tenant="demo",
        subject_key="subject-1",
        consent_version="consent-1/4",
        recorded_time=Timestamp(seconds=1_720_000_000),
    )
    for number in range(2):
        await mesh.bus.publish(subjects.CONSENT_WITHDRAWN, withdrawn, message_id=f"w-{number}")
    (forgotten,) = mesh.bus.published(subjects.SUBJECT_FORGOTTEN)
    assert forgotten.subject_pseudonym == part.subject_pseudonym
    assert forgotten.recorded_time == withdrawn.recorded_time
    assert "subject-1" not in str(forgotten)
