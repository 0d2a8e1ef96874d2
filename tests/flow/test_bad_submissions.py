"""Submissions that cannot be used are refused by path; odd content is kept as it came."""

from __future__ import annotations

import base64
import copy
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from services.cli import accounts
from tests.flow.running import SAMPLES, Running
from tests.flow.test_consent import stored

RESOURCES = {
    kind: json.loads((SAMPLES / f"{name}.json").read_text())
    for kind, name in (
        ("Patient", "patient"),
        ("Consent", "consent"),
        ("ServiceRequest", "service_request"),
    )
}
POTASSIUM = json.loads((SAMPLES / "labs" / "09-potassium.json").read_text())


def bundle(*resources: dict[str, Any], without: str = "") -> dict[str, Any]:
    """Return a submission with an identifier of its own."""
    kept = [copy.deepcopy(each) for kind, each in RESOURCES.items() if kind != without]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:dxmesh:test", "value": str(uuid.uuid4())},
        "type": "collection",
        "entry": [{"resource": each} for each in (*kept, *resources)],
    }


def post(running: Running, content: bytes | dict[str, Any]) -> httpx.Response:
    token = accounts.read(running.state.root).ehr_token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{running.mesh.url}/fhir", content=body, headers=headers, timeout=60.0)


def note(data: bytes, kind: str = "text/plain") -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": f"n-{uuid.uuid4().hex[:12]}",
        "status": "current",
        "subject": {"reference": "Patient/demo-patient"},
        "content": [{"attachment": {"contentType": kind, "data": base64.b64encode(data).decode()}}],
    }


def result(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(POTASSIUM) | {"id": f"r-{uuid.uuid4().hex[:12]}"}
    made.pop("valueQuantity", None)
    return made | changes


def deep(levels: int) -> bytes:
    return b'{"resourceType":"Bundle","x":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.requirement("DX-FLOW-10")
@pytest.mark.parametrize("kind", list(RESOURCES))
def test_what_a_submission_lacks_is_named(running: Running, kind: str) -> None:
    answer = post(running, bundle(without=kind))
    assert answer.status_code == 422
    assert any(kind in issue["details"]["text"] for issue in answer.json()["issue"])


@pytest.mark.requirement("DX-FLOW-10")
@pytest.mark.parametrize(
    ("content", "status", "where"),
    [
        (b"{", 400, None),
        (b'{"resourceType": "Patient"}', 400, "resourceType"),
        (deep(70), 400, None),
        (bundle({"resourceType": "Horoscope"}), 422, "Bundle.entry[3].resource"),
        (bundle(result(status=7)), 422, "Bundle.entry[3].resource.status"),
    ],
)
def test_what_is_wrong_is_named_by_its_path_and_nothing_is_stored(
    running: Running, content: bytes | dict[str, Any], status: int, where: str | None
) -> None:
    before = running.operator.get("/ops/cases?limit=500")["cases"]
    files = stored(running)
    answer = post(running, content)
    assert answer.status_code == status, answer.text
    issues = answer.json()["issue"]
    if where:
        assert any(path.startswith(where) for i in issues for path in i.get("expression", []))
    assert running.operator.get("/ops/cases?limit=500")["cases"] == before
    assert stored(running) <= files, "content of a refused submission remains"


@pytest.mark.requirement("DX-FLOW-02")
def test_the_same_submission_at_once_from_two_sides_is_one_case(running: Running) -> None:
    twice = bundle(result(valueQuantity={"value": 4.1, "unit": "mmol/L"}))
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: post(running, twice), range(2)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.fixture(scope="module")
def odd(running: Running) -> dict[str, Any]:
    """The report of a case whose results and notes are odd in every way that is not refused."""
    words = "主诉：咳嗽3周。\n既往史：高血压病史10年。"
    sent = bundle(
        result(valueString="haemolysed"),
        result(valueQuantity={"value": 0.01, "comparator": "<", "unit": "mmol/L"}),
        result(valueQuantity={"value": -3, "unit": "mmol/L"}),
        result(valueQuantity={"value": 4.1}),
        note(words.encode("gb18030")),
        note(b"\xef\xbb\xbf" + "主诉：发热2天。".encode()),
        note(b"Chief complaint: fever\x00\x07 for two days."),
        note(b""),
        note(b"x" * (5 << 20)),
    )
    answer = post(running, sent)
    assert answer.status_code == 201, answer.text
    case_id = answer.json()["id"]
    running.wait_for(case_id)
    found = running.report(case_id)
    observations = running.observations(found)
    named = re.findall(r"DocumentReference/[\w-]+", json.dumps(observations))
    return {"report": found, "observations": observations, "texts": texts(running, set(named))}


def texts(running: Running, references: set[str]) -> list[str]:
    """Return the de-identified notes behind some DocumentReferences."""
    documents = [running.ehr.get(f"/fhir/{each}") for each in references]
    urls = [document["content"][0]["attachment"]["url"] for document in documents]
    return [running.ehr.content(f"/fhir/{url}", "text/plain").decode() for url in urls]


@pytest.mark.requirement("DX-FLOW-11")
def test_odd_results_are_kept_as_they_came_and_not_interpreted(odd: dict[str, Any]) -> None:
    kept = [o for o in odd["observations"] if "not-interpreted" in json.dumps(o)]
    found = {json.dumps(o.get("valueQuantity") or o.get("valueString")) for o in kept}
    assert len(kept) == 4
    assert '"haemolysed"' in found
    assert any('"comparator": "<"' in value and "0.01" in value for value in found)
    assert any('"value": -3' in value for value in found)
    assert all("interpretation" not in each for each in kept)


@pytest.mark.requirement("DX-FLOW-11")
def test_a_note_in_any_encoding_is_read_and_one_that_cannot_be_is_named(
    odd: dict[str, Any],
) -> None:
    conclusion = odd["report"]["conclusion"]
    assert "ï¿½" not in conclusion and "\ufffd" not in conclusion
    read = "".join(odd["texts"])
    assert "咳嗽3周" in read and "发热2天" in read and "fever for two days" in read
    said = json.dumps(odd["report"]["extension"])
    assert "NOTE_EMPTY" in said and "NOTE_TOO_LONG" in said
