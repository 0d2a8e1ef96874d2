"""PDF and key images are files of a case: labels of what they show hide them wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import READING, Permission, Rights
from services.gateway.call import Call
from services.gateway.web import sight
from tests.gateway.dicomweb.conftest import BASE, OF_STUDY
from tests.gateway.dicomweb.images import PATIENT, SERIES, STUDY_RESOURCE, hold, made
from tests.gateway.dicomweb.test_dicomweb_rights import RESTRICTED
from tests.gateway.dicomweb.test_page_labels import label

RAW = {"Accept": "*/*"}
TEXT = "text/plain; charset=utf-8"
READS = frozenset("rs")


async def files_of(world: Any, setting: Any) -> dict[str, list[str]]:
    """Return the addresses of a case's Binaries by content type."""
    found: dict[str, list[str]] = {}
    for stored in await world.gateway.store.resources.of_case("north", setting.CASE_ID):
        if stored.type == "Binary":
            binary = (
                await world.get(f"/fhir/Binary/{stored.id}", Accept="application/json")
            ).json()
            found.setdefault(binary["contentType"], []).append(f"/fhir/Binary/{stored.id}")
    return found


def may(*kinds: str, patient: str = "") -> Rights:
    return Rights(tuple(Permission(kind, READS, patient) for kind in kinds))


@pytest.mark.requirement("DX-VIE-14")
async def test_files_show_no_restricted_study(held: Any, setting: Any, as_app: Any) -> None:
    files = await files_of(held, setting)
    pictures = files["application/pdf"] + files["image/png"]
    assert len(files["image/png"]) == 2 and files[TEXT]
    reader = as_app("reader", READING)

    async def answers(path: str) -> int:
        return int((await held.http.get(path, headers={**reader, **RAW})).status_code)

    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": pictures[0].removeprefix("/fhir/")}}],
    }
    json = {"Content-Type": "application/fhir+json"}
    for path in pictures:
        assert await answers(path) == 200, path
    page = f"/cases/{setting.CASE_ID}"
    await held.sign_in()
    assert "-pdf" in (await held.http.get(page)).text
    for hidden in (
        {**STUDY_RESOURCE, "meta": RESTRICTED},
        {"resourceType": "ImagingStudy", "id": "study-1"},
    ):
        if "meta" in hidden:
            await label(held, hidden)
        else:
            gone = await held.http.delete("/fhir/ImagingStudy/study-1", headers=held.bearer())
            assert gone.status_code in (200, 204), "deleted, it shows nothing either"
        for path in pictures:
            for asked in (path, f"{path}/_history/1", f"{path}/_history"):
                assert await answers(asked) == 404, asked
            assert (await held.get(path, **RAW)).status_code == 200, "the hospital's own system"
        for path in files[TEXT]:
            assert await answers(path) == 200, "words are no picture"
        answer = await held.http.post("/fhir", json=batch, headers={**reader, **json})
        assert answer.json()["entry"][0]["response"]["status"].startswith("404")
        for path in ("/fhir/Binary", "/fhir/Binary/_history", "/fhir/_history?_count=200"):
            entries = (await held.http.get(path, headers=reader)).json().get("entry", [])
            shown = {each["fullUrl"].removeprefix("http://gateway") for each in entries}
            assert not shown.intersection(pictures), path
        text = (await held.http.get(page)).text
        assert "-pdf" not in text and "/images/1/" not in text and "No PDF" in text
    await label(held, STUDY_RESOURCE)
    for path in pictures:
        assert await answers(path) == 200, "the label was taken off"


@pytest.mark.requirement("DX-VIE-14")
async def test_the_document_holds_nothing_restricted(held: Any, setting: Any, as_app: Any) -> None:
    """It names the patient, and everything of the report is attached to it."""
    files = await files_of(held, setting)
    reader = {**as_app("reader", READING), **RAW}
    (pdf,) = files["application/pdf"]
    assert (await held.http.get(pdf, headers=reader)).status_code == 200
    await label(held, {**PATIENT, "meta": RESTRICTED})
    assert (await held.http.get(pdf, headers=reader)).status_code == 404
    gone = await held.http.delete("/fhir/Patient/p-1", headers=held.bearer())
    assert gone.status_code in (200, 204), gone.text
    assert (await held.http.get(pdf, headers=reader)).status_code == 404, "as it last was"


@pytest.mark.requirement("DX-VIE-14")
@pytest.mark.parametrize("studies", [[], [STUDY_RESOURCE]], ids=["none", "another's"])
async def test_a_picture_of_a_study_without_resource_is_as_confidential_as_its_patient(
    world: Any, setting: Any, studies: list[dict[str, Any]]
) -> None:
    """The sample report names its study by UID, which is not that of the ImagingStudy."""
    patient = {**PATIENT, "meta": RESTRICTED}
    await hold(world, setting, [[made(1)]], studies=studies, patient=patient)
    files = await files_of(world, setting)
    await world.sign_in()
    for path in files["image/png"] + files["application/pdf"]:
        assert (await world.http.get(path, headers=RAW)).status_code == 404, path


@pytest.mark.requirement("DX-VIE-14")
async def test_files_go_by_the_scopes_of_what_names_them(
    held: Any, setting: Any, as_app: Callable[..., Any]
) -> None:
    """An app without the scope ImagingStudy has the PDF of a report it may read."""
    files = await files_of(held, setting)
    (pdf,), (picture, _) = files["application/pdf"], files["image/png"]
    report, media, both = ("DiagnosticReport",), ("Media",), ("DiagnosticReport", "Media")
    for name, rights, expected in (
        ("whole", may("Binary", *both), (200, 200)),
        ("report", may("Binary", *report), (200, 404)),
        ("pictures", may("Binary", *media), (404, 200)),
        ("nothing", may("Binary"), (404, 404)),
        ("theirs", may("Binary", *both, patient="p-1"), (200, 200)),
        ("another's", may("Binary", *both, patient="p-2"), (404, 404)),
    ):
        headers = {**as_app(name, rights), **RAW}
        for path, status in zip((pdf, picture), expected, strict=True):
            assert (await held.http.get(path, headers=headers)).status_code == status, name
    mixed = Rights((Permission("Binary", READS, "p-2"), Permission("DiagnosticReport", READS)))
    answer = await held.http.get(pdf, headers={**as_app("mixed", mixed), **RAW})
    assert answer.status_code == 404, "Binaries of another patient alone"


@pytest.mark.requirement("DX-VIE-13")
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
async def test_who_may_not_see_studies_sees_no_key_image(
    world: Any, setting: Any, sent: bool
) -> None:
    studies = [STUDY_RESOURCE] if sent else []
    await hold(world, setting, [[made(1)]], studies=studies)
    composed = await world.gateway.store.reports.composed("north", setting.CASE_ID, 1)
    kinds = ("DiagnosticReport", "Patient", "ServiceRequest", "Observation", "Media")
    for rights, expected in (
        (may(*kinds), 0),
        (may(*kinds, "ImagingStudy"), 2),
        (may(*kinds, "ImagingStudy", patient="p-1"), 2),
        (READING, 2),
    ):
        principal = Principal("north", "reader", Role.PHYSICIAN, scopes=rights)
        call = Call(Request({"type": "http", "headers": []}), world.gateway, principal)
        shown = await sight.bundle(call, composed)
        found = [each["resource"] for each in shown["entry"]]
        assert sum(each["resourceType"] == "Media" for each in found) == expected, rights
        pictures = [each for each in found if each.get("contentType") == "image/png"]
        assert len(pictures) == expected, rights


@pytest.mark.requirement("DX-VIE-14")
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
async def test_a_label_hides_a_study_however_its_resource_came(
    world: Any, setting: Any, sent: bool
) -> None:
    """An ImagingStudy that came with another case, or alone, is about the same images."""
    studies = [{**STUDY_RESOURCE, "id": "own"}] if sent else []
    await hold(world, setting, [[made(1)]], studies=studies)
    files = await files_of(world, setting)
    await world.sign_in()
    page = f"/cases/{setting.CASE_ID}"
    paths = [OF_STUDY, f"{page}/pixels/{SERIES}/{SERIES}.1/1"]
    paths += files["image/png"] + files["application/pdf"] if sent else []
    for path in paths:
        assert (await world.http.get(path, headers=RAW)).status_code == 200, path
    await label(world, {**STUDY_RESOURCE, "id": "other", "meta": RESTRICTED})
    for path in paths:
        assert (await world.http.get(path, headers=RAW)).status_code == 404, path
    assert (await world.http.get(f"{BASE}/studies")).status_code == 204
    assert ("/images/1/" in (await world.http.get(page)).text) is not sent
