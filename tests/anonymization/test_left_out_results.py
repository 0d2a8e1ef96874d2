"""What ingest could not take over of a laboratory's message is told in the report."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest, IntakeProblem

from services.kernel import subjects
from tests.anonymization.zone import POTASSIUM, Mesh, send


@pytest.mark.requirement("DX-HL7-03")
async def test_results_that_are_not_there_are_set_aside_and_other_fields_are_not(
    mesh: Mesh, bundle: Callable[..., bytes]
) -> None:
    event = await mesh.receive(bundle("", [POTASSIUM]), [])
    manifest = IntakeManifest.FromString(await mesh.intake.get("demo", event.manifest))
    for reason, count in (("VALUE_TYPE_NOT_READ", 3), ("FIELD_NOT_READ", 9)):
        manifest.problems.append(
            IntakeProblem(source="OBX[1]-5", reason=reason, message="not read", count=count)
        )
    scope = event.manifest.scope
    ref = await mesh.intake.put("demo", scope, "manifest-2", manifest.SerializeToString())
    event.manifest.CopyFrom(ref)
    await send(mesh, event)
    (done,) = mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    (aside,) = [each for each in done.set_aside if each.kind == PART_KIND_LABS]
    assert (aside.refusal.reason, aside.count) == ("VALUE_TYPE_NOT_READ", 3)
