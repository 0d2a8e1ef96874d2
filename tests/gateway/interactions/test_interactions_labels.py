"""Labels of confidentiality in what is made of several resources."""

from __future__ import annotations

from typing import Any

import pytest

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def _labelled(code: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": CONFIDENTIALITY, "code": code}]}}


@pytest.mark.requirement("DX-INT-12")
async def test_a_stored_document_is_labelled_as_its_strictest_part(server: Any) -> None:
    await server.put({"resourceType": "Patient", "id": "p"})
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "secret"}}
    for name, code in (("r", "R"), ("v", "V"), ("n", "N")):
        about = {"id": name, "subject": {"reference": "Patient/p"}}
        await server.put({**flag, **about, **_labelled(code)})
    for number, (parts, code) in enumerate((("n", ""), ("rn", "R"), ("vr", "V"))):
        composition = {
            "resourceType": "Composition",
            "id": f"c{number}",
            "status": "final",
            "type": {"text": "t"},
            "date": "2026-03-01",
            "title": "t",
            "author": [{"reference": "Patient/p"}],
            "section": [{"entry": [{"reference": f"Flag/{name}"} for name in parts]}],
        }
        await server.put(composition)
        kept = await server("POST", f"Composition/c{number}/$document?persist=true")
        assert kept.status_code == 201, kept.text
        labels = kept.json().get("meta", {}).get("security", [])
        assert [label["code"] for label in labels] == ([code] if code else [])
        await server.world.sign_in()
        answer = await server.world.http.get(f"/fhir/Bundle/{kept.json()['id']}")
        assert answer.status_code == (404 if code else 200)
