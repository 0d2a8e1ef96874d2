"""Signing a case inside the EHR's frame, and letting the writer do what is due."""

from __future__ import annotations

from typing import Any

from services.gateway.ehr.writeback import WriteBack


async def signed(scene: Any, setting: Any, root: str = "", *, amend: bool = False) -> str:
    """Launch, submit, have it analysed, sign it in the EHR's frame; return the root."""
    if not root:
        root = await scene.launch()
        await setting.compose(scene.world, setting.sample_report())
        visit = {"patient": "p-1", "encounter": "p-1-visit", "user": "Practitioner/dr-1"}
        sent = ["Patient/p-1", "ServiceRequest/p-1-order", "ImagingStudy/p-1-study"]
        store = scene.gateway.store
        patient = await store.ehr.patient_hash("north", "north-ehr", "p-1")
        await store.ehr_writes.link(
            "north", setting.CASE_ID, "north-ehr", patient, visit | {"sent": sent}
        )
    path = f"/cases/{setting.CASE_ID}"
    page = (await scene.page(f"{root}{path}{'?amend' if amend else ''}")).text
    findings = sorted(set(between(page, 'name="verdict:', '"')))
    assert findings
    fields = {f"verdict:{finding}": "agree" for finding in findings}
    if amend:
        fields[f"verdict:{findings[0]}"] = "disagree"
    amends = between(page, 'name="amends" value="', '"')[0]
    answer = await scene.post(
        root, f"{path}/sign", version="1", amends=amends, password=setting.PASSWORD, **fields
    )
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{root}{path}"
    return root


def between(text: str, before: str, after: str) -> list[str]:
    return [piece.partition(after)[0] for piece in text.split(before)[1:]]


async def settle(scene: Any, rounds: int = 6) -> None:
    """Let the writer do what is due; its waits are over at once."""
    writer = WriteBack(scene.gateway)
    for _ in range(rounds):
        await hurry(scene)
        await writer.step()


async def hurry(scene: Any) -> None:
    from sqlalchemy import update

    from services.gateway.store.ehr_tables import EHR_CASES

    async with scene.gateway.store.database.begin() as connection:
        await connection.execute(update(EHR_CASES).values(next_us=0))


async def state(scene: Any, setting: Any) -> Any:
    return await scene.gateway.store.ehr_writes.get("north", setting.CASE_ID)


async def lease_ends(scene: Any) -> None:
    from sqlalchemy import update

    from services.gateway.store.ehr_tables import EHR_CASES

    async with scene.gateway.store.database.begin() as connection:
        await connection.execute(update(EHR_CASES).values(lease_us=1))
