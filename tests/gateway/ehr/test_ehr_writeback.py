"""Signed reports into the EHR: whatever fails on the way, one report is there in the end."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.ehr.writeback import WriteBack
from services.kernel.fhir import problems

CONTAINED_RULES = ("contained", "security", "versionId", "lastUpdated")


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
    findings = sorted(set(_between(page, 'name="verdict:', '"')))
    assert findings
    fields = {f"verdict:{finding}": "agree" for finding in findings}
    if amend:
        fields[f"verdict:{findings[0]}"] = "disagree"
    amends = _between(page, 'name="amends" value="', '"')[0]
    answer = await scene.post(
        root, f"{path}/sign", version="1", amends=amends, password=setting.PASSWORD, **fields
    )
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{root}{path}"
    return root


def _between(text: str, before: str, after: str) -> list[str]:
    return [piece.partition(after)[0] for piece in text.split(before)[1:]]


async def settle(scene: Any, rounds: int = 6) -> None:
    """Let the writer do what is due; its waits are over at once."""
    writer = WriteBack(scene.gateway)
    for _ in range(rounds):
        await _hurry(scene)
        await writer.step()


async def _hurry(scene: Any) -> None:
    from sqlalchemy import update

    from services.gateway.store.ehr_tables import EHR_CASES

    async with scene.gateway.store.database.begin() as connection:
        await connection.execute(update(EHR_CASES).values(next_us=0))


async def state(scene: Any, setting: Any) -> Any:
    return await scene.gateway.store.ehr_writes.get("north", setting.CASE_ID)


@pytest.mark.requirement("DX-EHR-09")
async def test_a_signed_report_is_in_the_ehr(scene: Any, setting: Any) -> None:
    root = await signed(scene, setting)
    assert (await state(scene, setting)).state == "waiting"
    assert "On its way to the EHR" in (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "final" and report["subject"]["reference"] == "Patient/p-1"
    assert report["encounter"]["reference"] == "Encounter/p-1-visit"
    assert {"system": "urn:dxmesh:case", "value": setting.CASE_ID} in report["identifier"]
    assert report["resultsInterpreter"][0]["reference"] == "Practitioner/dr-1"
    (form,) = report["presentedForm"]
    assert base64.b64decode(form["data"]) == b"%PDF-1.7 test"
    assert "In the EHR" in (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text


@pytest.mark.requirement("DX-EHR-09")
async def test_the_report_stands_by_itself(scene: Any, setting: Any) -> None:
    """Valid R4, contained resources as dom-2 to dom-5 have them, no reference to our ids."""
    await signed(scene, setting)
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert problems(report) == []
    inside = {f"#{r['id']}" for r in report["contained"]}
    text = json.dumps(report)
    used = set(_between(text, '"reference": "', '"'))
    assert inside <= used, "dom-3: everything inside is referred to"
    theirs = {f"{k}/{i}" for k, i in scene.ehr.resources}
    assert used <= inside | theirs, "everything referred to is inside, or the EHR's own"
    for resource in report["contained"]:
        assert "contained" not in resource
        assert not set(resource.get("meta", {})) & {"security", "versionId", "lastUpdated"}
    assert len(report["result"]) > 5


@pytest.mark.requirement("DX-EHR-09")
async def test_an_amendment_updates_the_same_report(scene: Any, setting: Any) -> None:
    root = await signed(scene, setting)
    await settle(scene)
    before = len(scene.ehr.of("DiagnosticReport")[0]["result"])
    await signed(scene, setting, root, amend=True)
    assert (await state(scene, setting)).state == "waiting"
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "amended" and report["meta"]["versionId"] == "2"
    assert len(report["result"]) == before - 1
    assert (await state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_an_ehr_that_is_down_gets_it_when_it_is_back(scene: Any, setting: Any) -> None:
    await signed(scene, setting)
    scene.ehr.down = True
    await settle(scene, 3)
    waiting = await state(scene, setting)
    assert (waiting.state, waiting.attempts, waiting.reason) == ("waiting", 3, "EHR_503")
    scene.ehr.down = False
    await settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert (await state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_waits_grow_to_an_hour_and_end_after_days(scene: Any, setting: Any) -> None:
    await signed(scene, setting)
    scene.ehr.down = True
    writer, waits = WriteBack(scene.gateway), []
    for _ in range(12):
        await _hurry(scene)
        now = scene.client.now_us()
        await writer.step()
        waits.append(((await state(scene, setting)).next_us - now) / 1e6)
    assert 10 < waits[0] < 60 and 2000 < waits[-1] < 5000
    assert (await writer.step()) is False, "not before its time"
    later = scene.client.now_us() + 8 * 86_400_000_000
    scene.client.now_us = lambda: later
    await _hurry(scene)
    await writer.step()
    assert (await state(scene, setting)).state == "failed"


@pytest.mark.requirement("DX-EHR-10")
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("amended", [False, True])
async def test_killed_between_the_ehrs_answer_and_our_note(
    scene: Any, setting: Any, conditional: bool, amended: bool
) -> None:
    """The EHR has made its change; the process that asked for it dies before it hears so."""
    scene.ehr.conditional = conditional
    root = await signed(scene, setting)
    if amended:
        await settle(scene)
        await signed(scene, setting, root, amend=True)
    writer = WriteBack(scene.gateway)
    task = asyncio.create_task(writer.step())
    scene.ehr.after = lambda method, place: task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scene.ehr.after = None
    assert len(scene.ehr.of("DiagnosticReport")) == 1, "the change was made"
    write = await state(scene, setting)
    assert write.state == "waiting" and write.lease_us > scene.client.now_us()
    await settle(scene)
    assert (await state(scene, setting)).state == "waiting", "the dead one's lease still holds"
    await _lease_ends(scene)
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == ("amended" if amended else "final")
    assert (await state(scene, setting)).state == "done"


async def _lease_ends(scene: Any) -> None:
    from sqlalchemy import update

    from services.gateway.store.ehr_tables import EHR_CASES

    async with scene.gateway.store.database.begin() as connection:
        await connection.execute(update(EHR_CASES).values(lease_us=1))


@pytest.mark.requirement("DX-EHR-10")
@pytest.mark.parametrize("status", [409, 412])
async def test_conflicts_are_looked_at_again(scene: Any, setting: Any, status: int) -> None:
    scene.ehr.fails = {"POST DiagnosticReport": [status, status]}
    root = await signed(scene, setting)
    await settle(scene, 1)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    await signed(scene, setting, root, amend=True)
    scene.ehr.fails = {"PUT DiagnosticReport": [status]}
    await settle(scene, 1)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "amended" and (await state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_a_report_changed_by_others_is_not_overwritten_blindly(
    scene: Any, setting: Any
) -> None:
    """Between our look and our write somebody changes it: the write is made on what is there."""
    root = await signed(scene, setting)
    await settle(scene)
    await signed(scene, setting, root, amend=True)
    search, changed = scene.ehr._search, []

    def then_change(kind: str, query: dict[str, str]) -> Any:
        found = [json.loads(json.dumps(r)) for r in search(kind, query)]
        if kind == "DiagnosticReport" and found and not changed:
            changed.append(True)
            scene.ehr.of(kind)[0]["meta"]["versionId"] = "7"
        return found

    scene.ehr._search = then_change
    await settle(scene, 1)
    assert ("PUT", "DiagnosticReport") in scene.ehr.requests
    assert scene.ehr.of("DiagnosticReport")[0]["meta"]["versionId"] == "8"


@pytest.mark.requirement("DX-EHR-10")
async def test_two_processes_at_once_make_one_report(scene: Any, setting: Any) -> None:
    await signed(scene, setting)
    writers = [WriteBack(scene.gateway) for _ in range(4)]
    await asyncio.gather(*(writer.step() for writer in writers))
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert scene.ehr.requests.count(("POST", "DiagnosticReport")) == 1


@pytest.mark.requirement("DX-EHR-11")
async def test_what_the_ehr_refuses_for_good_is_shown_to_the_operator(
    scene: Any, setting: Any
) -> None:
    scene.ehr.fails = {"POST DiagnosticReport": [422]}
    root = await signed(scene, setting)
    await settle(scene)
    operator = scene.world.bearer("operator")
    status = (await scene.http.get("/ops/status", headers=operator)).json()
    assert status["ehr_writes"] == {"waiting": 0, "failed": 1}
    (write,) = (await scene.http.get("/ops/ehr", headers=operator)).json()["writes"]
    assert (write["state"], write["reason"]) == ("failed", "EHR_422")
    assert "Chen" not in json.dumps(write)
    page = (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text
    assert "Not taken by the EHR" in page
    again = await scene.http.post(f"/ops/ehr/{setting.CASE_ID}/retry", headers=operator)
    assert again.status_code == 200
    await settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    missing = await scene.http.post("/ops/ehr/none/retry", headers=operator)
    assert missing.status_code == 404
    reader = await scene.http.get("/ops/ehr", headers=scene.world.bearer("ehr"))
    assert reader.status_code == 403


@pytest.mark.requirement("DX-EHR-11")
async def test_a_revoked_permission_waits_for_the_next_launch(scene: Any, setting: Any) -> None:
    await signed(scene, setting)
    scene.ehr.revoke()
    await settle(scene, 2)
    waiting = await state(scene, setting)
    assert waiting.state == "waiting" and waiting.reason in ("EHR_401", "EHR_TOKEN_EXPIRED")
    await scene.launch()
    await WriteBack(scene.gateway).step()
    assert len(scene.ehr.of("DiagnosticReport")) == 1


@pytest.mark.requirement("DX-EHR-11")
async def test_only_who_signed_or_asked_lends_the_permission(scene: Any, setting: Any) -> None:
    root = await signed(scene, setting)
    scene.ehr.revoke()
    scene.ehr.user = "Practitioner/dr-3"
    await scene.launch("p-1")
    await settle(scene, 2)
    assert scene.ehr.of("DiagnosticReport") == []
    scene.ehr.user = "Practitioner/dr-1"
    await scene.launch("p-2")
    await settle(scene, 2)
    assert scene.ehr.of("DiagnosticReport") == [], "a token of another patient is not used"
    await scene.launch("p-1")
    await settle(scene, 2)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert root


@pytest.mark.requirement("DX-EHR-10")
async def test_refresh_tokens_are_used_once_each(scene: Any, setting: Any) -> None:
    """The fake takes a refresh token once; four that need one at the same time get along."""
    from services.gateway.ehr import grants

    root = await scene.launch()
    launches = scene.gateway.store.ehr
    scene.ehr.access.clear()
    launch = await launches.get(root.rpartition("/")[2])
    held = await asyncio.gather(
        *(grants.current(launches, scene.client, launch, force=True) for _ in range(4))
    )
    assert len({tokens.access for tokens in held}) == 1
    assert len(scene.ehr.access) == 1


@pytest.mark.requirement("DX-EHR-09")
async def test_backend_services_write_with_nobody_there(
    scene: Any, setting: Any, fake: Any
) -> None:
    key = fake.ec_key()
    public = {"keys": [key.as_dict(private=False) | {"kid": key.thumbprint()}]}
    scene.ehr.clients["dxmesh-backend"] = {"jwks": public}
    scene.client.ehr = replace(
        scene.client.ehr,
        key=json.dumps(key.as_dict(private=True)),
        backend_client_id="dxmesh-backend",
        backend_scopes="system/DiagnosticReport.crus",
    )
    await signed(scene, setting)
    scene.ehr.revoke()
    await settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    keys = (await scene.http.get("/ehr/jwks/north-ehr")).json()["keys"]
    assert keys[0]["kid"] == key.thumbprint() and "d" not in keys[0]


@pytest.mark.requirement("DX-EHR-09")
@pytest.mark.parametrize("auth", ["private_key_jwt", "client_secret"])
async def test_the_other_ways_to_say_who_we_are(scene: Any, fake: Any, auth: str) -> None:
    key = fake.ec_key()
    public = {"keys": [key.as_dict(private=False) | {"kid": key.thumbprint()}]}
    by_key = auth == "private_key_jwt"
    scene.ehr.clients["dxmesh"] = {"jwks": public} if by_key else {"secret": "s3cret"}
    changed = {"key": json.dumps(key.as_dict(private=True))} if by_key else {"secret": "s3cret"}
    scene.client.ehr = replace(scene.client.ehr, auth=auth, **changed)
    assert await scene.launch()


@pytest.mark.requirement("DX-EHR-09")
async def test_as_a_transaction_each_observation_is_a_resource(scene: Any, setting: Any) -> None:
    scene.client.ehr = replace(scene.client.ehr, write_back="transaction")
    root = await signed(scene, setting)
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    ours = {f"Observation/{o['id']}" for o in scene.ehr.of("Observation") if "identifier" in o}
    assert {r["reference"] for r in report["result"]} <= ours and len(ours) > 5
    for observation in scene.ehr.of("Observation"):
        assert problems(observation) == []
    await signed(scene, setting, root, amend=True)
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    again = [o for o in scene.ehr.of("Observation") if "identifier" in o]
    assert report["status"] == "amended" and len(again) == len(ours)
    assert [o["status"] for o in again].count("entered-in-error") == 1
    assert (await state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-09")
async def test_nothing_is_written_before_it_is_signed(scene: Any, setting: Any) -> None:
    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    patient = await scene.gateway.store.ehr.patient_hash("north", "north-ehr", "p-1")
    content = {"patient": "p-1", "encounter": "", "user": "", "sent": []}
    await scene.gateway.store.ehr_writes.link(
        "north", setting.CASE_ID, "north-ehr", patient, content
    )
    await settle(scene)
    answer = await scene.post(root, f"/cases/{setting.CASE_ID}/write")
    assert answer.status_code == 404
    await settle(scene)
    assert scene.ehr.of("DiagnosticReport") == []


@pytest.mark.requirement("DX-EHR-03")
async def test_who_has_no_account_signs_soon_after_the_launch(scene: Any, setting: Any) -> None:
    scene.ehr.user = "Practitioner/dr-3"
    root = await signed(scene, setting)
    await settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["resultsInterpreter"][0]["reference"] == "Practitioner/dr-3"
    later = scene.client.now_us() + 901_000_000
    scene.client.now_us = lambda: later
    page = await scene.page(f"{root}/cases/{setting.CASE_ID}?amend")
    assert "too long ago" in page.text and 'id="sign-button"' not in page.text
    findings = sorted(set(_between(page.text, 'name="verdict:', '"')))
    fields = {f"verdict:{finding}": "agree" for finding in findings}
    amends = _between(page.text, 'name="amends" value="', '"')[0]
    answer = await scene.post(
        root, f"/cases/{setting.CASE_ID}/sign", version="1", amends=amends, **fields
    )
    assert answer.status_code == 403 and len(scene.world.peers.signatures) == 1


@pytest.mark.requirement("DX-EHR-03")
async def test_who_has_an_account_signs_with_its_password(scene: Any, setting: Any) -> None:
    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    patient = await scene.gateway.store.ehr.patient_hash("north", "north-ehr", "p-1")
    content = {"patient": "p-1", "encounter": "", "user": "", "sent": []}
    await scene.gateway.store.ehr_writes.link(
        "north", setting.CASE_ID, "north-ehr", patient, content
    )
    page = (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text
    fields = {f"verdict:{f}": "agree" for f in set(_between(page, 'name="verdict:', '"'))}
    answer = await scene.post(
        root, f"/cases/{setting.CASE_ID}/sign", version="1", amends="0", password="x", **fields
    )
    assert answer.status_code == 403 and scene.world.peers.signatures == []


@pytest.mark.requirement("DX-EHR-11")
async def test_what_was_signed_elsewhere_is_written_when_asked_for(
    scene: Any, setting: Any
) -> None:
    """The report was signed at the review page outside; in the EHR's frame it is asked for."""
    from services.gateway.store.ehr_writes import EhrWrites

    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    store, case_id = scene.gateway.store, setting.CASE_ID
    await store.people.remember_subject("north", ["urn:test:mrn|MRN-p-1"], "subject-9")
    async with store.cases.change("north", case_id) as opened:
        opened.case = replace(opened.case, subject_key="subject-9")
    keep, EhrWrites.link = EhrWrites.link, _nothing
    try:
        await signed(scene, setting, root)
    finally:
        EhrWrites.link = keep
    page = (await scene.page(f"{root}/cases/{case_id}")).text
    assert "Not linked to the EHR" in page and f'formaction="{root}/cases/{case_id}/write"' in page
    assert (await scene.post(root, f"/cases/{case_id}/write")).status_code == 303
    await settle(scene, 1)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["subject"]["reference"] == "Patient/p-1" and "basedOn" not in report


async def _nothing(*args: Any) -> None:
    return None
