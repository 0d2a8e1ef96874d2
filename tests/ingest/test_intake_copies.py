"""A case that takes a study again gets every instance, whatever two other cases hold of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest

from services.ingest.store.keeping import Keeping
from services.kernel import subjects

Maker = Callable[..., Any]
SOP = "1.2.9.3"


def another(bundle: Maker, number: str) -> Any:
    return bundle(identifier={"system": "urn:ehr", "value": number})


async def contents(world: Any, number: int) -> dict[str, bytes]:
    """Return what a case has been given, by SOP Instance UID."""
    event = world.bus.published(subjects.CASE_RECEIVED)[number]
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))
    return {
        each.sop_instance_uid: await world.blobs.get("demo", each.blob)
        for study in manifest.studies
        for each in study.instances
    }


@pytest.mark.requirement("DX-ING-13")
async def test_two_cases_that_hold_an_instance_differently_give_a_third_one_of_both(
    sqlite_world: Any, ct: Maker, bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second content came while the first was being taken: neither saw the other."""
    world, whole = sqlite_world, Keeping.standing
    first, second = ct(SOPInstanceUID=SOP), ct(SOPInstanceUID=SOP, InstanceNumber=7)
    await world.upload(first)
    await world.submit(another(bundle, "S-1"))

    async def nothing(self: Keeping, tenant: str, sop_keys: Any) -> list[Any]:
        return [[] for _ in sop_keys]

    monkeypatch.setattr(Keeping, "standing", nothing)
    assert (await world.upload(second)).stored
    monkeypatch.setattr(Keeping, "standing", whole)
    taken = await world.submit(another(bundle, "S-2"))
    assert not taken.problems and (await contents(world, 1))[SOP] == second, "what came for it"
    third = await world.submit(another(bundle, "S-3"))
    assert not third.problems
    assert (await contents(world, 2))[SOP] in (first, second), "it has one, not none"
