"""A submission becomes one case, whatever goes wrong on the way and however often it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest

from services.kernel import subjects

Maker = Callable[..., Any]


@pytest.mark.requirement("DX-ING-01")
async def test_a_submission_with_images_becomes_a_case(world: Any, ct: Maker, bundle: Maker) -> None:
    content = ct()
    (stored,) = (await world.upload(content)).stored
    assert stored.study_instance_uid == "1.2.9" and not stored.duplicate
    answer = await world.submit(bundle())
    assert not answer.duplicate and not answer.problems
    (event,) = world.bus.published(subjects.CASE_RECEIVED)
    assert event.case == answer.case and event.subject_key == answer.subject_key
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))
    assert (manifest.purpose, manifest.recipient) == ("TREAT", "urn:dxmesh:demo|DXMESH-ANALYSIS")
    (study,) = manifest.studies
    (instance,) = study.instances
    assert await world.blobs.get("demo", instance.blob) == content
