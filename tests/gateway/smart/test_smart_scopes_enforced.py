"""What a scope lets through in each interaction, with two patients in the store.

Each test asks as an app of the physician who chose patient p-1.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"patient/Observation.rs?category={CATEGORY}|laboratory"
JSON = "application/fhir+json"


def observation(name: str, patient: str, category: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "performer": [{"reference": "Practitioner/doc-1"}],
    }


CHART = (
    observation("lab-1", "p-1", "laboratory"),
    observation("vital-1", "p-1", "vital-signs"),
    observation("lab-2", "p-2", "laboratory"),
    {"resourceType": "Practitioner", "id": "doc-1", "name": [{"family": "Li"}]},
    {
        "resourceType": "Condition",
        "id": "c-1",
        "code": {"text": "cough"},
        "subject": {"reference": "Patient/p-1"},
    },
    {
        "resourceType": "Condition",
        "id": "c-secret",
        "meta": {
            "security": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
            ]
        },
        "code": {"text": "secret"},
        "subject": {"reference": "Patient/p-1"},
    },
)


class Asking:
    """An app that has a token."""

    def __init__(self, smart: Any, token: str) -> None:
        self._smart, self._token = smart, token

    async def __call__(self, path: str, method: str = "GET", content: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": JSON}
        sent = None if content is None else orjson.dumps(content)
        return await self._smart.outside.request(
            method, f"/fhir/{path}", headers=headers, content=sent
        )

    async def ids(self, path: str) -> set[str]:
        answer = await self(path)
        assert answer.status_code == 200, answer.text
        entries = answer.json().get("entry", [])
        kinds = {e["resource"]["resourceType"] for e in entries}
        assert "Bundle" not in kinds
        return {e["resource"]["id"] for e in entries if "id" in e["resource"]}


async def app_with(smart: Any, scope: str) -> Asking:
    await smart.put(*CHART)
    app = await smart.app(f"launch/patient {scope}")
    tokens = await smart.tokens(app, f"launch/patient {scope}")
    return Asking(smart, tokens["access_token"])


@pytest.mark.requirement("DX-SMT-06")
async def test_read_vread_and_history_show_the_patient_in_context_alone(smart: Any) -> None:
    ask = await app_with(smart, "patient/Observation.rs patient/Condition.rs")
    assert (await ask("Observation/lab-1")).status_code == 200
    assert (await ask("Observation/lab-1/_history/1")).status_code == 200
    assert await ask.ids("Observation/lab-1/_history") == {"lab-1"}
    for path in (
        "Observation/lab-2", "Observation/lab-2/_history/1", "Observation/lab-2/_history",
        "Condition/c-secret", "Condition/c-secret/_history/1",
    ):  # fmt: skip
        assert (await ask(path)).status_code == 404, path
    assert (await ask("Patient/p-1")).status_code == 403
    assert (await ask("Patient/p-1/_history")).status_code == 403
    shown = await ask.ids("Observation/_history")
    assert "lab-2" not in shown and "lab-1" in shown
    system = await ask("_history")
    assert system.status_code in (200, 403)
    assert "lab-2" not in system.text and "p-2" not in system.text


@pytest.mark.requirement("DX-SMT-06")
async def test_conditions_of_a_scope_hold_in_read_and_search(smart: Any) -> None:
    ask = await app_with(smart, LAB)
    assert (await ask("Observation/lab-1")).status_code == 200
    assert (await ask("Observation/vital-1")).status_code == 404
    assert (await ask("Observation/vital-1/_history/1")).status_code == 404
    assert await ask.ids("Observation") == {"lab-1"}
    assert await ask.ids("Observation?category=vital-signs") == set()
    assert await ask.ids("Observation?_id=lab-1,vital-1,lab-2") == {"lab-1"}
    assert await ask.ids("Observation/_history") == {"lab-1"}
    total = (await ask("Observation?_summary=count")).json()["total"]
    assert total == 1, "a count tells as much as a list"


@pytest.mark.requirement("DX-SMT-06")
async def test_included_resources_need_a_scope_of_their_own(smart: Any) -> None:
    ask = await app_with(smart, "patient/Observation.rs")
    assert await ask.ids("Observation?_include=Observation:subject") == {"lab-1", "vital-1"}
    assert "doc-1" not in await ask.ids("Observation?_include=Observation:performer")
    more = await app_with(
        smart, "patient/Observation.rs patient/Practitioner.rs patient/Patient.rs"
    )
    assert await more.ids("Observation?_id=lab-1&_include=*") == {"lab-1", "p-1", "doc-1"}
    back = await app_with(smart, "patient/Patient.rs")
    assert await back.ids("Patient?_revinclude=Observation:subject") == {"p-1"}


@pytest.mark.requirement("DX-SMT-06")
async def test_chains_and_has_do_not_tell_what_may_not_be_seen(smart: Any) -> None:
    ask = await app_with(smart, "patient/Patient.rs")
    for path in (
        "Patient?_has:Observation:patient:code=2160-0",
        f"Patient?_has:Observation:patient:category={CATEGORY}|laboratory",
    ):
        answer = await ask(path)
        assert answer.status_code == 403 or answer.json().get("entry", []) == [], path
    ask = await app_with(smart, "patient/Observation.rs")
    answer = await ask("Observation?subject:Patient.name=zhang")
    assert answer.status_code == 403 or answer.json().get("entry", []) == []
    ask = await app_with(smart, "patient/Observation.rs patient/Patient.rs")
    assert await ask.ids("Observation?subject:Patient.name=zhang") == {"lab-1", "vital-1"}
    assert await ask.ids("Patient?_has:Observation:patient:code=2160-0") == {"p-1"}


@pytest.mark.requirement("DX-SMT-06")
async def test_everything_is_what_the_scopes_allow(smart: Any) -> None:
    ask = await app_with(smart, f"patient/Patient.rs {LAB}")
    assert await ask.ids("Patient/p-1/$everything") == {"p-1", "lab-1"}
    assert (await ask("Patient/p-2/$everything")).status_code == 404
    ask = await app_with(smart, "patient/*.rs")
    shown = await ask.ids("Patient/p-1/$everything")
    assert {"p-1", "lab-1", "vital-1", "c-1"} <= shown
    assert not {"lab-2", "p-2", "c-secret"} & shown


@pytest.mark.requirement("DX-SMT-06")
async def test_a_write_must_stay_inside_the_scope_before_and_after(smart: Any) -> None:
    ask = await app_with(smart, "patient/Observation.cruds patient/Patient.cruds")
    own = observation("new-1", "p-1", "laboratory")
    made = await ask("Observation", "POST", own)
    assert made.status_code == 201, made.text
    foreign = await ask("Observation", "POST", observation("new-2", "p-2", "laboratory"))
    assert foreign.status_code == 403
    moved = await ask("Observation/lab-1", "PUT", observation("lab-1", "p-2", "laboratory"))
    assert moved.status_code == 403, "it may not be moved out of the compartment"
    taken = await ask("Observation/lab-2", "PUT", observation("lab-2", "p-1", "laboratory"))
    assert taken.status_code in (403, 404), "nor another's moved in"
    assert (await ask("Observation/lab-1", "DELETE")).status_code == 403, "the role may not delete"
    patient = {"resourceType": "Patient", "id": "p-1", "name": [{"family": "Else"}]}
    assert (await ask("Patient/p-1", "PUT", patient)).status_code == 403
    reading = await app_with(smart, "patient/Observation.rs")
    assert (await reading("Observation", "POST", own)).status_code == 403


@pytest.mark.requirement("DX-SMT-06")
async def test_batch_entries_are_held_against_the_scopes_one_by_one(smart: Any) -> None:
    ask = await app_with(smart, LAB)
    wanted = ("Observation/lab-1", "Observation/vital-1", "Observation/lab-2", "Patient/p-1")
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": url}} for url in wanted],
    }
    answer = await ask("", "POST", bundle)
    if answer.status_code == 403:
        return
    codes = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert codes == ["200", "404", "404", "403"]


@pytest.mark.requirement("DX-SMT-06")
async def test_the_audit_trail_is_not_in_any_wildcard(smart: Any) -> None:
    ask = await app_with(smart, "user/*.rs patient/*.rs user/AuditEvent.rs")
    for path in ("AuditEvent", "AuditEvent?patient=Patient/p-1"):
        answer = await ask(path)
        assert answer.status_code == 403, path
    backend = await smart.backend("system/*.rs")
    answer = await smart.token(backend, grant_type="client_credentials", scope="system/*.rs")
    own = Asking(smart, answer.json()["access_token"])
    assert (await own("AuditEvent")).status_code == 403
    assert (await own("Condition/c-secret")).status_code == 200, "the hospital's own system"
    auditor = await smart.backend("system/AuditEvent.rs", role="auditor")
    wild = await smart.token(auditor, grant_type="client_credentials", scope="system/*.rs")
    assert wild.json()["error"] == "invalid_scope"
    named = {"grant_type": "client_credentials", "scope": "system/AuditEvent.cruds"}
    answer = await smart.token(auditor, **named)
    assert answer.json()["scope"] == "system/AuditEvent.rs"
    audits = Asking(smart, answer.json()["access_token"])
    assert (await audits("AuditEvent")).status_code == 200
    assert (await audits("Patient/p-1")).status_code == 403
