"""With whose permission a report is written to the EHR, and who may sign in its frame."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.ehr.writeback import WriteBack


@pytest.mark.requirement("DX-EHR-11")
async def test_what_the_ehr_refuses_for_good_is_shown_to_the_operator(
    scene: Any, setting: Any, steps: Any
) -> None:
    scene.ehr.fails = {"POST DiagnosticReport": [422]}
    root = await steps.signed(scene, setting)
    await steps.settle(scene)
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
    await steps.settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    missing = await scene.http.post("/ops/ehr/none/retry", headers=operator)
    assert missing.status_code == 404
    reader = await scene.http.get("/ops/ehr", headers=scene.world.bearer("ehr"))
    assert reader.status_code == 403


@pytest.mark.requirement("DX-EHR-11")
async def test_a_revoked_permission_waits_for_the_next_launch(
    scene: Any, setting: Any, steps: Any
) -> None:
    await steps.signed(scene, setting)
    scene.ehr.revoke()
    await steps.settle(scene, 2)
    waiting = await steps.state(scene, setting)
    assert waiting.state == "waiting" and waiting.reason in ("EHR_401", "EHR_TOKEN_EXPIRED")
    await scene.launch()
    await WriteBack(scene.gateway).step()
    assert len(scene.ehr.of("DiagnosticReport")) == 1


@pytest.mark.requirement("DX-EHR-11")
async def test_only_who_signed_or_asked_lends_the_permission(
    scene: Any, setting: Any, steps: Any
) -> None:
    root = await steps.signed(scene, setting)
    scene.ehr.revoke()
    scene.ehr.user = "Practitioner/dr-3"
    await scene.launch("p-1")
    await steps.settle(scene, 2)
    assert scene.ehr.of("DiagnosticReport") == []
    scene.ehr.user = "Practitioner/dr-1"
    await scene.launch("p-2")
    await steps.settle(scene, 2)
    assert scene.ehr.of("DiagnosticReport") == [], "a token of another patient is not used"
    await scene.launch("p-1")
    await steps.settle(scene, 2)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert root


@pytest.mark.requirement("DX-EHR-10")
async def test_refresh_tokens_are_used_once_each(scene: Any, setting: Any, steps: Any) -> None:
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
    scene: Any, setting: Any, steps: Any, charts: Any
) -> None:
    key = charts.ec_key()
    public = {"keys": [key.as_dict(private=False) | {"kid": key.thumbprint()}]}
    scene.ehr.clients["dxmesh-backend"] = {"jwks": public}
    scene.client.ehr = replace(
        scene.client.ehr,
        key=json.dumps(key.as_dict(private=True)),
        backend_client_id="dxmesh-backend",
        backend_scopes="system/DiagnosticReport.crus",
    )
    await steps.signed(scene, setting)
    scene.ehr.revoke()
    await steps.settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    keys = (await scene.http.get("/ehr/jwks/north-ehr")).json()["keys"]
    assert keys[0]["kid"] == key.thumbprint() and "d" not in keys[0]


@pytest.mark.requirement("DX-EHR-09")
@pytest.mark.parametrize("auth", ["private_key_jwt", "client_secret"])
async def test_the_other_ways_to_say_who_we_are(scene: Any, charts: Any, auth: str) -> None:
    key = charts.ec_key()
    public = {"keys": [key.as_dict(private=False) | {"kid": key.thumbprint()}]}
    by_key = auth == "private_key_jwt"
    scene.ehr.clients["dxmesh"] = {"jwks": public} if by_key else {"secret": "s3cret"}
    changed = {"key": json.dumps(key.as_dict(private=True))} if by_key else {"secret": "s3cret"}
    scene.client.ehr = replace(scene.client.ehr, auth=auth, **changed)
    assert await scene.launch()


@pytest.mark.requirement("DX-EHR-09")
async def test_nothing_is_written_before_it_is_signed(scene: Any, setting: Any, steps: Any) -> None:
    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    patient = await scene.gateway.store.ehr.patient_hash("north", "north-ehr", "p-1")
    content = {"patient": "p-1", "encounter": "", "user": "", "sent": []}
    await scene.gateway.store.ehr_writes.link(
        "north", setting.CASE_ID, "north-ehr", patient, content
    )
    await steps.settle(scene)
    answer = await scene.post(root, f"/cases/{setting.CASE_ID}/write")
    assert answer.status_code == 404
    await steps.settle(scene)
    assert scene.ehr.of("DiagnosticReport") == []


@pytest.mark.requirement("DX-EHR-03")
async def test_who_has_no_account_signs_soon_after_the_launch(
    scene: Any, setting: Any, steps: Any
) -> None:
    scene.ehr.user = "Practitioner/dr-3"
    root = await steps.signed(scene, setting)
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["resultsInterpreter"][0]["reference"] == "Practitioner/dr-3"
    later = scene.client.now_us() + 901_000_000
    scene.client.now_us = lambda: later
    page = await scene.page(f"{root}/cases/{setting.CASE_ID}?amend")
    assert "too long ago" in page.text and 'id="sign-button"' not in page.text
    findings = sorted(set(steps.between(page.text, 'name="verdict:', '"')))
    fields = {f"verdict:{finding}": "agree" for finding in findings}
    amends = steps.between(page.text, 'name="amends" value="', '"')[0]
    answer = await scene.post(
        root, f"/cases/{setting.CASE_ID}/sign", version="1", amends=amends, **fields
    )
    assert answer.status_code == 403 and len(scene.world.peers.signatures) == 1


@pytest.mark.requirement("DX-EHR-03")
async def test_who_has_an_account_signs_with_its_password(
    scene: Any, setting: Any, steps: Any
) -> None:
    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    patient = await scene.gateway.store.ehr.patient_hash("north", "north-ehr", "p-1")
    content = {"patient": "p-1", "encounter": "", "user": "", "sent": []}
    await scene.gateway.store.ehr_writes.link(
        "north", setting.CASE_ID, "north-ehr", patient, content
    )
    page = (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text
    fields = {f"verdict:{f}": "agree" for f in set(steps.between(page, 'name="verdict:', '"'))}
    answer = await scene.post(
        root, f"/cases/{setting.CASE_ID}/sign", version="1", amends="0", password="x", **fields
    )
    assert answer.status_code == 403 and scene.world.peers.signatures == []


@pytest.mark.requirement("DX-EHR-11")
async def test_what_was_signed_elsewhere_is_written_when_asked_for(
    scene: Any,
    setting: Any,
    steps: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report was signed at the review page outside; in the EHR's frame it is asked for."""
    from services.gateway.store.ehr_writes import EhrWrites

    root = await scene.launch()
    await setting.compose(scene.world, setting.sample_report())
    store, case_id = scene.gateway.store, setting.CASE_ID
    await store.people.remember_subject("north", ["urn:test:mrn|MRN-p-1"], "subject-9")
    async with store.cases.change("north", case_id) as opened:
        opened.case = replace(opened.case, subject_key="subject-9")
    with monkeypatch.context() as outside:
        outside.setattr(EhrWrites, "link", _nothing)
        await steps.signed(scene, setting, root)
    page = (await scene.page(f"{root}/cases/{case_id}")).text
    assert "Not linked to the EHR" in page and f'formaction="{root}/cases/{case_id}/write"' in page
    assert (await scene.post(root, f"/cases/{case_id}/write")).status_code == 303
    await steps.settle(scene, 1)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["subject"]["reference"] == "Patient/p-1" and "basedOn" not in report


async def _nothing(*args: Any) -> None:
    return None


@pytest.mark.requirement("DX-EHR-11")
async def test_without_the_scope_nothing_is_tried(scene: Any, setting: Any, steps: Any) -> None:
    grant = scene.ehr._grant
    scene.ehr._grant = lambda asked: grant(asked | {"granted": "launch openid patient/*.rs"})
    await steps.signed(scene, setting)
    await steps.settle(scene, 2)
    assert (await steps.state(scene, setting)).reason == "EHR_NOT_GRANTED"
    assert not any(kind == "DiagnosticReport" for _, kind in scene.ehr.requests)


@pytest.mark.requirement("DX-EHR-11")
async def test_several_reports_of_a_case_are_for_people_to_sort_out(
    scene: Any, setting: Any, steps: Any
) -> None:
    number = [{"system": "urn:dxmesh:case", "value": setting.CASE_ID}]
    report = {"resourceType": "DiagnosticReport", "identifier": number, "status": "final"}
    scene.ehr.put(report | {"id": "one"}, report | {"id": "two"})
    await steps.signed(scene, setting)
    await steps.settle(scene, 2)
    assert (await steps.state(scene, setting)).reason == "EHR_SEVERAL_REPORTS"
    assert all(method == "GET" for method, kind in scene.ehr.requests if kind != "Bundle")
    del scene.ehr.resources["DiagnosticReport", "two"]
    await steps.settle(scene, 2)
    assert (await steps.state(scene, setting)).state == "done"
