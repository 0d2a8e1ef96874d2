"""History of a resource, a type and the whole server: order, paging, times, what is hidden."""

from __future__ import annotations

from typing import Any

import pytest

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a-1", "active": True}


async def follow(server: Any, path: str) -> list[dict[str, Any]]:
    """Return the entries of every page."""
    entries: list[dict[str, Any]] = []
    while path:
        bundle = (await server("GET", path)).json()
        assert bundle["type"] == "history", bundle
        entries += bundle.get("entry", [])
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "").removeprefix("http://gateway/fhir/")
    return entries


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [
        f"{e['request']['method']} {e['fullUrl'].rpartition('/fhir/')[2]} {e['response']['etag']}"
        for e in entries
    ]


@pytest.fixture
async def filled(each_database: Any) -> Any:
    for number in range(3):
        await each_database.put({**PATIENT, "multipleBirthInteger": number})
    await each_database("DELETE", "Patient/a-1")
    await each_database.put({"resourceType": "Basic", "id": "x", "code": {"text": "x"}})
    await each_database.put({**PATIENT, "id": "a-2"})
    return each_database


@pytest.mark.requirement("DX-INT-07")
async def test_history_is_newest_first_with_deletions(filled: Any) -> None:
    of_a1 = ['DELETE Patient/a-1 W/"4"']
    of_a1 += [f'PUT Patient/a-1 W/"{version}"' for version in (3, 2, 1)]
    newer = ['PUT Patient/a-2 W/"1"', 'PUT Basic/x W/"1"']
    for size in (1, 2, 50):
        assert names(await follow(filled, f"Patient/a-1/_history?_count={size}")) == of_a1
        assert names(await follow(filled, f"Patient/_history?_count={size}")) == [newer[0], *of_a1]
        assert names(await follow(filled, f"_history?_count={size}")) == [*newer, *of_a1]
    entries = await follow(filled, "Patient/a-1/_history")
    assert "resource" not in entries[0]
    assert [e["response"]["status"] for e in entries] == ["204", "200", "200", "201"]
    assert entries[1]["resource"]["multipleBirthInteger"] == 2
    assert entries[1]["resource"]["meta"]["lastUpdated"] == entries[1]["response"]["lastModified"]


@pytest.mark.requirement("DX-INT-07")
async def test_pages_stay_in_place_while_others_write(filled: Any) -> None:
    first = (await filled("GET", "Patient/_history?_count=2")).json()
    await filled.put({**PATIENT, "id": "a-3"})
    links = {link["relation"]: link["url"] for link in first["link"]}
    rest = await follow(filled, links["next"].removeprefix("http://gateway/fhir/"))
    assert names(rest) == [f'PUT Patient/a-1 W/"{version}"' for version in (3, 2, 1)]


@pytest.mark.requirement("DX-INT-07")
async def test_history_since_and_at_a_time(filled: Any) -> None:
    entries = await follow(filled, "Patient/a-1/_history")
    times = [e["response"]["lastModified"] for e in reversed(entries)]  # versions 1, 2, 3, 4
    since = await follow(filled, f"Patient/a-1/_history?_since={times[2]}")
    assert [e["response"]["etag"] for e in since] == ['W/"4"', 'W/"3"']
    for place in ("Patient/a-1/_history", "_history"):
        at = await follow(filled, f"{place}?_at={times[1]}")
        found = [e["response"]["etag"] for e in at if e["fullUrl"].endswith("/a-1")]
        assert 'W/"2"' in found and 'W/"4"' not in found and len(found) <= 2
        assert await follow(filled, f"{place}?_at=2001") == []
    assert len(await follow(filled, f"_history?_at={times[0][:4]}")) == 6
    for wrong in ("_since=yesterday", "_at=2026-13", "_count=-1", "_before=x", "_sort=_id"):
        assert (await filled("GET", f"Patient/_history?{wrong}")).status_code == 400, wrong
    lenient = await filled("GET", "Patient/_history?_sort=_id", prefer="handling=lenient")
    assert lenient.json()["entry"][-1]["resource"]["issue"][0]["severity"] == "warning"
    large = await filled("GET", "Patient/_history?_count=1000000000")
    assert large.status_code == 200


@pytest.mark.requirement("DX-INT-07")
async def test_history_shows_what_may_be_seen(server: Any, only_patient: Any) -> None:
    for name in ("a-1", "b-1"):
        await server.put({**PATIENT, "id": name})
        await server("DELETE", f"Patient/{name}")
        await server.put({**PATIENT, "id": name, "active": False})
    app = server.with_rights(only_patient("a-1"))
    for path in ("_history", "Patient/_history", "_history?_count=1"):
        entries = await follow(app, path)
        assert [e["fullUrl"] for e in entries] == ["http://gateway/fhir/Patient/a-1"] * 3
    flag = {"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "x"}}
    await server.put({**flag, "subject": {"reference": "Patient/b-1"}})
    await server.put({**flag, "subject": {"reference": "Patient/a-1"}})
    assert names(await follow(app, "Flag/f/_history")) == ['PUT Flag/f W/"2"'], "b's stays hidden"
    assert (await app("GET", "Flag/f/_history/1")).status_code == 404
    assert (await app("GET", "Patient/b-1/_history")).status_code == 404
    assert (await server("GET", "Patient/none/_history")).status_code == 404


@pytest.mark.requirement("DX-INT-05")
async def test_a_label_given_later_hides_what_came_before(server: Any) -> None:
    await server.put(PATIENT)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}
    await server.put({**PATIENT, "meta": {"security": [label]}})
    await server.world.sign_in()
    shown = (await server.world.http.get("/fhir/Patient/_history")).json()
    assert "entry" not in shown
    first = f"/fhir/Patient/{PATIENT['id']}/_history/1"
    assert (await server.world.http.get(first)).status_code == 404
    assert len(await follow(server, "Patient/_history")) == 2
    await server("DELETE", f"Patient/{PATIENT['id']}")
    assert (await server.world.http.get(first)).status_code == 404
