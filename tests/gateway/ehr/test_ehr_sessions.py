"""A launch's session: one patient's, in its EHR's frame alone, of users the operator named."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.requirement("DX-EHR-02")
async def test_the_sessions_cookie_is_the_launchs_own(scene: Any) -> None:
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    root = answer.headers["location"].removesuffix("/worklist")
    cookie = answer.headers["set-cookie"]
    assert f"; Path={root};" in cookie
    for part in ("__Secure-dx_ehr=", "; Secure", "; SameSite=None", "; Partitioned", "; HttpOnly"):
        assert part in cookie


@pytest.mark.requirement("DX-EHR-02")
async def test_a_session_opens_nothing_but_its_own_pages(scene: Any) -> None:
    first, second = await scene.launch("p-1"), await scene.launch("p-2")
    assert "Chen Fictional" in (await scene.page(f"{first}/worklist")).text
    assert "Wu Fictional" in (await scene.page(f"{second}/worklist")).text
    token = next(c.value for c in scene.http.cookies.jar if c.path == first)
    for path in (f"{second}/worklist", "/worklist", "/fhir/Patient/p-1"):
        scene.http.cookies.clear()
        headers = {"Cookie": f"__Secure-dx_ehr={token}; dx_session={token}", "Accept": "text/html"}
        answer = await scene.http.get(path, headers=headers)
        assert answer.status_code in (303, 401), path


@pytest.mark.requirement("DX-EHR-03")
@pytest.mark.parametrize(
    ("user", "status"),
    [("Practitioner/dr-1", 303), ("Practitioner/dr-3", 303), ("Practitioner/dr-2", 403)],
)
async def test_only_known_users_come_in(scene: Any, user: str, status: int) -> None:
    """dr-1 is mapped to an account, dr-3 is allowed by a staff number, dr-2 is nobody here."""
    scene.ehr.user = user
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == status
    if status == 403:
        assert "EHR_USER_NOT_KNOWN" in answer.text


@pytest.mark.requirement("DX-EHR-03")
async def test_who_was_taken_off_the_list_is_out_at_once(scene: Any) -> None:
    from dataclasses import replace

    scene.ehr.user = "Practitioner/dr-3"
    root = await scene.launch()
    client = scene.client
    assert (await scene.page(f"{root}/worklist")).status_code == 200
    client.ehr = replace(client.ehr, allow=())
    assert (await scene.page(f"{root}/worklist")).status_code == 401
    scene.ehr.user = "Practitioner/dr-1"
    root = await scene.launch()
    assert (await scene.page(f"{root}/worklist")).status_code == 200
    client.ehr = replace(client.ehr, users={})
    assert (await scene.page(f"{root}/worklist")).status_code == 401


@pytest.mark.requirement("DX-EHR-02")
async def test_a_change_needs_the_launchs_token(scene: Any) -> None:
    root = await scene.launch()
    for path in ("/submit", "/language", "/sign-out", "/cases/x/sign", "/cases/x/write"):
        answer = await scene.http.post(f"{root}{path}", data={"csrf": "guess", "order": "x"})
        assert answer.status_code == 403 and "CSRF" in answer.text, path
    assert (await scene.page(f"{root}/worklist")).status_code == 200


@pytest.mark.requirement("DX-EHR-02")
async def test_only_these_pages_are_shown_in_the_ehrs_frame(scene: Any) -> None:
    root = await scene.launch()
    for path in (f"{root}/worklist", f"{root}/submit", f"{root}/cases/none"):
        policy = (await scene.page(path)).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors https://ehr.example"), path
    for path in ("/sign-in", "/worklist", "/healthz", "/fhir/metadata", "/ehr/none/worklist"):
        answer = await scene.http.get(path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["x-frame-options"] == "DENY", path


@pytest.mark.requirement("DX-EHR-02")
async def test_signing_out_ends_the_session(scene: Any) -> None:
    root = await scene.launch()
    assert (await scene.post(root, "/sign-out")).status_code == 200
    answer = await scene.page(f"{root}/worklist")
    assert answer.status_code == 401 and "EHR_SESSION_ENDED" in answer.text


@pytest.mark.requirement("DX-EHR-02")
async def test_tokens_and_patient_lie_sealed(scene: Any) -> None:
    await scene.launch()
    content = b"".join(p.read_bytes() for p in scene.world.database.parent.glob("gateway.sqlite*"))
    tokens = [*scene.ehr.access, *scene.ehr.refreshes]
    assert tokens and not any(token.encode() in content for token in tokens)
    for text in (b"Chen Fictional", b"MRN-p-1"):
        assert text not in content
