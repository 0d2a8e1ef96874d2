"""Images under the rights of FHIR: roles, scopes, compartments, labels, tenants, the trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.gateway.access.rights import Permission, Rights
from tests.gateway.dicomweb.conftest import BASE, OF_SERIES, OF_STUDY
from tests.gateway.dicomweb.images import PATIENT, SERIES, STUDY, STUDY_RESOURCE, hold, made

FRAME = f"{OF_SERIES}/instances/{SERIES}.1/frames/1"
EVERY = (
    f"{BASE}/studies", f"{BASE}/series", f"{BASE}/instances", OF_STUDY, OF_SERIES, FRAME,
    f"{OF_STUDY}/series", f"{OF_SERIES}/instances", f"{OF_SERIES}/metadata", f"{FRAME}/rendered",
    f"{OF_STUDY}/thumbnail", f"{OF_SERIES}/instances/{SERIES}.1/bulkdata/7FE00010",
)  # fmt: skip
READ, SEARCH = frozenset("r"), frozenset("s")
RESTRICTED = {
    "security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    ]
}


def may(*permissions: tuple[str, str, str], restricted: bool = True) -> Rights:
    made = (Permission(kind, frozenset(letters), patient) for kind, letters, patient in permissions)
    return Rights(tuple(made), restricted=restricted)


@pytest.mark.requirement("DX-DWB-09")
async def test_roles_without_the_right_and_strangers_see_nothing(held: Any) -> None:
    for path in EVERY:
        assert (await held.http.get(path)).status_code == 401, path
        for role in ("operator", "auditor"):
            answer = await held.get(path, role)
            assert answer.status_code == 403 and b"WANG" not in answer.content, (path, role)
        assert (await held.get(path, "other")).status_code in (204, 404), "another tenant"
    await held.sign_in()
    assert (await held.http.get(OF_STUDY)).status_code == 200, "a physician in a session"


@pytest.mark.requirement("DX-DWB-09")
async def test_scopes_hold_for_images(held: Any, as_app: Callable[..., Any]) -> None:
    def ask(rights: Rights) -> Callable[[str], Any]:
        headers = as_app(f"app-{len(held.gateway.accounts.by_token)}", rights)
        return lambda path: held.http.get(path, headers=headers)

    none = ask(may(("Observation", "rs", ""), ("DiagnosticReport", "rs", "")))
    for path in EVERY:
        assert (await none(path)).status_code == 403, path
    reads = ask(may(("ImagingStudy", "r", "")))
    assert (await reads(FRAME)).status_code == 200
    assert (await reads(f"{BASE}/studies")).status_code == 403, "search is another letter"
    searches = ask(may(("ImagingStudy", "s", "")))
    assert (await searches(f"{BASE}/studies")).status_code == 200
    assert (await searches(FRAME)).status_code == 403
    own = ask(may(("ImagingStudy", "rs", "p-1")))
    assert (await own(FRAME)).status_code == 200
    assert len((await own(f"{BASE}/instances")).json()) == 3
    others = ask(may(("ImagingStudy", "rs", "p-2")))
    assert (await others(FRAME)).status_code == 404
    assert (await others(f"{BASE}/instances")).status_code == 204


@pytest.mark.requirement("DX-DWB-10")
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
async def test_labels_hold_for_images(world: Any, setting: Any, sent: bool) -> None:
    """A label of the ImagingStudy hides the images; without one, a label of the Patient."""
    studies, patient = [], {**PATIENT, "meta": RESTRICTED}
    if sent:
        studies, patient = [{**STUDY_RESOURCE, "meta": RESTRICTED}], PATIENT
    await hold(world, setting, [[made(1)]], studies=studies, patient=patient)
    assert (await world.get(OF_STUDY)).status_code == 200, "the hospital's own system"
    await world.sign_in()
    assert (await world.http.get(OF_STUDY)).status_code == 404
    assert (await world.http.get(f"{BASE}/studies")).status_code == 204
    if sent:
        path, resource = "/fhir/ImagingStudy/study-1", STUDY_RESOURCE
        headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
        put = await world.http.put(path, json=resource, headers=headers)
        assert put.status_code in (200, 201), put.text
        assert (await world.http.get(OF_STUDY)).status_code == 200, "the label was taken off"
        assert (await world.http.delete(path, headers=world.bearer())).status_code in (200, 204)
        assert (await world.http.get(OF_STUDY)).status_code == 404, "deleted"


@pytest.mark.requirement("DX-DWB-11")
async def test_what_was_shown_is_in_the_trail(held: Any) -> None:
    await held.get(f"{BASE}/studies?PatientName=WANG*")
    for number in (1, 1, 1):
        await held.get(FRAME.replace(".1/frames", f".{number}/frames"))
    await held.get(OF_SERIES)
    await held.get(f"{BASE}/studies/1.2.3")
    trail = await held.get("/fhir/AuditEvent?_count=50", "auditor")
    events = [entry["resource"] for entry in trail.json()["entry"]]
    kinds = [event["subtype"][0]["code"] for event in events]
    assert kinds.count("dicom-query") == 1
    assert kinds.count("dicom-retrieve") == 2, "frames of a series share one entry"
    shown = next(e for e in events if e["subtype"][0]["code"] == "dicom-retrieve")
    assert shown["type"]["code"] == "110104" and shown["action"] == "R"
    named = [e["what"]["reference"] for e in shown["entity"] if "what" in e]
    assert "Patient/p-1" in named and any("ImagingStudy/study-1" in name for name in named)
    refused = [e for e in events if e["outcome"] == "4"]
    assert len(refused) == 1
    assert STUDY not in str([row for row in events if row["outcome"] == "4"])
