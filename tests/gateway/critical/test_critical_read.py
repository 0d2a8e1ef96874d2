"""Somebody reads a critical result: on the page, or by $acknowledge; the first time stays."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.kernel import fhir

READER = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "reader",
            "valueReference": {"reference": "Practitioner/night-doctor", "display": "Night Doctor"},
        }
    ],
}


async def page(world: Any, setting: Any, language: str = "en") -> str:
    headers = {"Accept": "text/html", "Accept-Language": language}
    return str((await world.http.get(f"/cases/{setting.CASE_ID}", headers=headers)).text)


def token(text: str) -> str:
    return str(re.findall(r'name="csrf" value="([^"]+)"', text)[0])


async def press(world: Any, setting: Any, text: str, *, htmx: bool = False, **changes: Any) -> Any:
    """Press the button of a page as a browser without scripts does, or as htmx does."""
    form = {
        "csrf": token(text),
        "notice": re.findall(r'name="notice" value="([^"]+)"', text),
    } | changes
    headers = {"HX-Request": "true"} if htmx else {}
    return await world.http.post(f"/cases/{setting.CASE_ID}/critical", data=form, headers=headers)


async def acknowledge(world: Any, told: Any, body: Any = None, name: str = "ehr") -> Any:
    headers = {**world.bearer(name), "Content-Type": "application/fhir+json"}
    content = fhir.dump(READER if body is None else body)
    path = f"/fhir/Communication/{told['id']}/$acknowledge"
    return await world.http.post(path, content=content, headers=headers)


def readers(resource: Any) -> list[str]:
    return [
        part["valueReference"]["reference"]
        for each in resource["extension"]
        if each["url"].endswith(":acknowledgement")
        for part in each["extension"]
        if part["url"] == "who"
    ]


@pytest.mark.requirement("DX-CRI-06")
@pytest.mark.parametrize(("htmx", "report"), [(False, True), (True, False)])
async def test_the_button_notes_who_read_it_with_and_without_a_report(
    world: Any, setting: Any, telling: Any, htmx: bool, report: bool
) -> None:
    (told,) = await telling.tell(world, setting)
    if report:
        await setting.compose(world, setting.sample_report())
    await world.sign_in()
    text = await page(world, setting)
    assert "Potassium 6.8 mmol/L" in text and "I have read this" in text
    answer = await press(world, setting, text, htmx=htmx)
    assert answer.status_code == (200 if htmx else 303)
    after = answer.text if htmx else await page(world, setting)
    assert "read by Dr reader (fictional)" in after and "I have read this" not in after
    (told,) = await telling.communications(world)
    assert told["status"] == "completed" and told["received"] >= told["sent"]
    (person,) = readers(told)
    assert told["recipient"][-1] == {"reference": person, "display": "Dr reader (fictional)"}
    known = (await world.get(f"/fhir/{person}")).json()
    assert known["identifier"] == [{"system": "urn:test", "value": "reader"}]
    assert fhir.problems(told) == []
    found = await world.get(f"/fhir/AuditEvent?entity=Communication/{told['id']}", "auditor")
    subtypes = [e["resource"]["subtype"][0]["code"] for e in found.json()["entry"]]
    assert "acknowledge" in subtypes


@pytest.mark.requirement("DX-CRI-06")
async def test_the_worklist_puts_it_first_and_says_for_how_long(
    world: Any, setting: Any, telling: Any
) -> None:
    await setting.compose(world, setting.sample_report(), ref=setting.case_ref("case-ready"))
    await telling.tell(world, setting)
    await world.sign_in()
    for language, words in (("en", "unread 0 min"), ("zh-CN", "危急值未确认 0 分钟")):
        headers = {"Accept": "text/html", "Accept-Language": language}
        text = (await world.http.get("/worklist", headers=headers)).text
        assert words in text and "Zhang Fictional" in text
        assert text.index(f"/cases/{setting.CASE_ID}") < text.index("/cases/case-ready")
    await press(world, setting, await page(world, setting))
    text = (await world.http.get("/worklist", headers={"Accept": "text/html"})).text
    assert "unread" not in text
    assert text.index("/cases/case-ready") < text.index(f"/cases/{setting.CASE_ID}")


@pytest.mark.requirement("DX-CRI-06")
async def test_the_page_speaks_both_languages(world: Any, setting: Any, telling: Any) -> None:
    await telling.tell(world, setting)
    await world.sign_in()
    text = await page(world, setting, "zh-CN")
    assert "待确认的危急值" in text and "我已获知" in text


@pytest.mark.requirement("DX-CRI-06")
async def test_reading_it_again_keeps_the_first_time_and_adds_the_reader(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    first = (await acknowledge(world, told)).json()
    assert (first["status"], readers(first)) == ("completed", ["Practitioner/night-doctor"])
    again = (await acknowledge(world, told)).json()
    assert again["meta"]["versionId"] == first["meta"]["versionId"]
    await world.sign_in()
    answer = await press(world, setting, await page(world, setting), notice=[told["id"]])
    assert answer.status_code == 303
    (told,) = await telling.communications(world)
    assert told["received"] == first["received"]
    assert readers(told)[0] == "Practitioner/night-doctor" and len(readers(told)) == 2


@pytest.mark.requirement("DX-CRI-06")
async def test_a_system_must_say_which_person_read_it(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    for value in (
        {},
        {"valueString": "me"},
        {"valueReference": {"reference": "Patient/p-1"}},
        {"valueReference": {"identifier": {"value": "7"}}},
        {"valueReference": {"type": "Practitioner", "identifier": {"value": "7"}}},
        {"valueReference": {"reference": "Practitioner/1", "display": "x" * 257}},
    ):
        body = {"resourceType": "Parameters", "parameter": [{"name": "reader", **value}]}
        answer = await acknowledge(world, told, body)
        assert answer.status_code == 400 and "reader" in answer.text, value
    (told,) = await telling.communications(world)
    assert told["status"] == "in-progress"


@pytest.mark.requirement("DX-CRI-06")
async def test_a_reader_may_be_named_by_an_identifier(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    who = {"type": "Practitioner", "identifier": {"system": "urn:staff", "value": "4711"}}
    body = {"resourceType": "Parameters", "parameter": [{"name": "reader", "valueReference": who}]}
    answer = (await acknowledge(world, told, body)).json()
    assert who in answer["recipient"] and fhir.problems(answer) == []


@pytest.mark.requirement("DX-CRI-06")
async def test_nobody_else_may_acknowledge_or_change_it(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    assert (await acknowledge(world, told, name="other")).status_code == 404
    assert (await acknowledge(world, told, name="auditor")).status_code == 403
    assert (await acknowledge(world, told, name="operator")).status_code == 403
    assert (await acknowledge(world, {"id": "none"})).status_code == 404
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    changed = fhir.dump({**told, "status": "completed"})
    path = f"/fhir/Communication/{told['id']}"
    answer = await world.http.put(path, content=changed, headers=headers)
    assert answer.status_code == 403 and "$acknowledge" in answer.text
    own = fhir.dump({"resourceType": "Communication", "id": "own", "status": "completed"})
    await world.http.put("/fhir/Communication/own", content=own, headers=headers)
    assert (await acknowledge(world, {"id": "own"})).status_code == 422


@pytest.mark.requirement("DX-CRI-07")
async def test_what_was_withdrawn_cannot_be_acknowledged(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    await world.sign_in()
    text = await page(world, setting)
    await telling.tell(world, setting, told=[], results=[], at=1_790_000_100)
    assert (await press(world, setting, text)).status_code == 409
    assert (await acknowledge(world, told)).status_code == 422
    after = await page(world, setting)
    assert "withdrawn" in after and "I have read this" not in after


@pytest.mark.requirement("DX-CRI-06")
async def test_a_button_of_another_page_or_case_does_nothing(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    await world.sign_in()
    text = await page(world, setting)
    assert (await press(world, setting, text, csrf="forged")).status_code == 403
    await setting.compose(world, setting.sample_report(), ref=setting.case_ref("case-2"))
    form = {"csrf": token(text), "notice": told["id"]}
    await world.http.post("/cases/case-2/critical", data=form)
    (told,) = await telling.communications(world)
    assert told["status"] == "in-progress"
