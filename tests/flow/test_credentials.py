"""Every route of the running mesh against every credential: only the right one gets anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from services.cli import accounts
from services.gateway.access.gate import COOKIE, SAFE, Entry
from services.gateway.access.principal import Role
from services.gateway.routes import ENTRIES
from tests.flow.cases import make_case
from tests.flow.reviewing import Physician
from tests.flow.running import Running

IDENTIFYING = ("演示患者", "FICTIONAL-PATIENT", "DEMO-000001", "1964-03-15", "demo.patient@")
REFUSED = (401, 403)
TRIES: dict[str, dict[str, str]] = {
    "none": {},
    "unknown bearer": {"Authorization": "Bearer 0123456789abcdefghijklmnopqrstuvwxyz0123456"},
    "bearer alone": {"Authorization": "Bearer"},
    "basic": {"Authorization": "Basic ZGVtbzpkZW1v"},
    "unknown session": {"Cookie": f"{COOKIE}=0123456789abcdefghijklmnopqrstuvwxyz0123456"},
}
"""Credentials that are none."""
ROUTES = [
    pytest.param(entry, id=f"{entry.method} {entry.path}") for entry in ENTRIES if not entry.open
]


OPEN = {"/fhir/metadata"}
"""What anybody may ask; it says nothing of anybody."""
ROOTS = {"/fhir", "/fhir/"}


def may(role: Role, entry: Entry) -> bool:
    """Tell whether a role is meant to have a route: written here a second time on purpose.

    Under /fhir a route alone shows nothing: which resources of which type an account sees is
    its rights' affair (`test_an_auditor_sees_the_trail_and_nothing_else` and tests/gateway).
    """
    if entry.path in OPEN:
        return True
    if entry.path.startswith("/ops"):
        return role is (Role.AUDITOR if entry.path == "/ops/audit" else Role.OPERATOR)
    if entry.path.startswith("/dicom-web") and entry.method == "GET":
        return role in (Role.EHR, Role.PHYSICIAN)
    of_submitters = ("/fhir/$submit", "/fhir/Task/{id}/$original")
    if entry.path.startswith(("/dicom-web", "/smart")) or entry.path in of_submitters:
        return role is Role.EHR
    if entry.path.startswith("/fhir"):
        asks = entry.method == "GET" or entry.path in ROOTS or "$" in entry.path
        reads = asks or entry.path.endswith("/_search")
        return role in (Role.EHR, Role.PHYSICIAN) or (role is Role.AUDITOR and reads)
    return role is Role.PHYSICIAN


@pytest.fixture(scope="module")
def places(running: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Values for the parameters of an address, so that there is something behind it."""
    case_id = running.submit(make_case(tmp_path_factory.mktemp("credentials") / "c", "CREDENTIALS"))
    running.wait_for(case_id)
    report = running.report(case_id)
    return {
        "case": case_id,
        "report": report["id"],
        "version": report["meta"]["versionId"],
        "patient": report["subject"]["reference"].partition("/")[2],
    }


def address(entry: Entry, places: dict[str, str]) -> str:
    of_case = entry.path.startswith(("/cases", "/ops"))
    of_patient = entry.path.startswith(("/fhir/{compartment}", "/fhir/Patient"))
    values = {
        "{compartment}": "Patient",
        "{type}": "DiagnosticReport",
        "{id}": places["case"] if of_case else places["patient" if of_patient else "report"],
        "{version}": places["version"],
        "{study}": "2.25.1",
        "{series}": "2.25.2",
        "{instance}": "2.25.3",
        "{frames}": "1",
        "{frame}": "1",
        "{tag}": "7FE00010",
        "{sequence}": "1",
        "{image}": "0",
        "{job}": "0",
        "{name}": "0",
    }
    path = entry.path
    for name, value in values.items():
        path = path.replace(name, value)
    return path


@pytest.fixture(scope="module")
def roles(running: Running) -> Iterator[dict[Role, Callable[..., httpx.Response]]]:
    """A way to ask as each role that a local mesh has an account of."""
    known = accounts.read(running.state.root)
    physician = Physician(running)
    with httpx.Client(base_url=running.mesh.url, timeout=30) as http:

        def bearer(token: str) -> Callable[..., httpx.Response]:
            headers = {"Authorization": f"Bearer {token}"}
            return lambda method, path: http.request(method, path, headers=headers)

        yield {
            Role.EHR: bearer(known.ehr_token),
            Role.OPERATOR: bearer(known.operator_token),
            Role.AUDITOR: bearer(known.auditor_token),
            Role.PHYSICIAN: lambda method, path: physician.http.request(method, path),
        }


def assert_refused(answer: httpx.Response, allowed: tuple[int, ...], what: Any) -> None:
    assert answer.status_code in allowed, (what, answer.status_code)
    assert not [word for word in IDENTIFYING if word in answer.text], what
    if "json" in answer.headers.get("content-type", ""):
        assert json.loads(answer.content)["resourceType"] == "OperationOutcome", what


@pytest.mark.requirement("DX-GW-01")
def test_what_is_open_is_written_down() -> None:
    assert {entry.path for entry in ENTRIES if entry.open} == OPEN


@pytest.fixture(scope="module")
def stranger(running: Running) -> Iterator[httpx.Client]:
    """Somebody with no credential: one client, whose making costs more than its asking."""
    with httpx.Client(base_url=running.mesh.url, timeout=30) as http:
        yield http
        assert not http.cookies  # no answer gave it a session


@pytest.mark.requirement("DX-GW-01")
@pytest.mark.parametrize("entry", ROUTES)
def test_a_route_is_closed_without_a_credential(
    stranger: httpx.Client, places: dict[str, str], entry: Entry
) -> None:
    path = address(entry, places)
    for name, headers in TRIES.items():
        for accept in ("application/fhir+json", "text/html"):
            answer = stranger.request(entry.method, path, headers={**headers, "Accept": accept})
            person = accept == "text/html" and not entry.path.startswith(
                ("/fhir", "/dicom", "/ops")
            )
            if person and answer.status_code == 303:
                assert answer.headers["location"].startswith("/sign-in"), (entry.path, name)
                assert not answer.content
            else:
                assert_refused(answer, (401,), (entry.path, name))
                assert answer.headers["www-authenticate"].startswith("Bearer"), entry.path


@pytest.mark.requirement("DX-GW-01")
@pytest.mark.parametrize("entry", ROUTES)
def test_a_route_is_closed_to_the_roles_without_the_right(
    places: dict[str, str], roles: dict[Role, Callable[..., httpx.Response]], entry: Entry
) -> None:
    for role, ask in roles.items():
        if may(role, entry):
            continue
        answer = ask(entry.method, address(entry, places))
        assert_refused(answer, (403,), (entry.path, role))


@pytest.mark.requirement("DX-GW-01")
def test_a_route_is_open_to_a_role_with_the_right(
    places: dict[str, str], roles: dict[Role, Callable[..., httpx.Response]]
) -> None:
    tried = 0
    for entry in ENTRIES:
        for role, ask in roles.items():
            by_type = role is Role.AUDITOR and entry.path.startswith("/fhir")
            if may(role, entry) and entry.method in SAFE and not by_type:
                answer = ask(entry.method, address(entry, places))
                assert answer.status_code not in REFUSED, (entry.path, role, answer.status_code)
                tried += 1
    assert tried > 10


@pytest.mark.requirement("DX-GW-01")
def test_an_auditor_sees_the_trail_and_nothing_else(
    running: Running, places: dict[str, str], roles: dict[Role, Callable[..., httpx.Response]]
) -> None:
    ask = roles[Role.AUDITOR]
    for entry in ENTRIES:
        if entry.path.startswith("/fhir/{") and entry.method in SAFE:
            assert_refused(ask("GET", address(entry, places)), (403,), entry.path)
    trail = ask("GET", "/fhir/AuditEvent?_count=5").json()
    assert len(trail["entry"]) == 5
    assert {entry["resource"]["resourceType"] for entry in trail["entry"]} == {"AuditEvent"}


@pytest.mark.requirement("DX-GW-01")
def test_a_session_changes_nothing_without_the_pages_own_token(
    running: Running, places: dict[str, str]
) -> None:
    physician = Physician(running)
    changing = [e for e in ENTRIES if e.method not in SAFE and may(Role.PHYSICIAN, e)]
    assert changing
    for entry in changing:
        for token in ("", "0123456789abcdef"):
            form = {"csrf": token, "version": "1", "comment": "forged"}
            path = address(entry, places)
            answer = physician.http.request(entry.method, path, data=form)
            assert answer.status_code == 403, (entry.path, answer.status_code)
    assert running.report(places["case"])["status"] == "partial"


@pytest.mark.requirement("DX-GW-01")
def test_a_session_that_was_closed_opens_nothing(running: Running, places: dict[str, str]) -> None:
    physician = Physician(running)
    page = physician.page(places["case"])
    token = page.split('name="csrf" value="')[1].split('"')[0]
    cookie = physician.http.cookies[COOKIE]
    assert physician.http.post("/sign-out", data={"csrf": token}).status_code == 303
    answer = httpx.get(f"{running.mesh.url}/worklist", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert answer.status_code in (303, 401) and not any(w in answer.text for w in IDENTIFYING)


@pytest.mark.requirement("DX-GW-01")
@pytest.mark.parametrize("path", ["/nothing", "/fhir/nothing/else/at/all", "/docs", "/metrics"])
def test_an_address_that_is_not_there_tells_a_stranger_nothing(
    stranger: httpx.Client, path: str
) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401


def test_static_files_are_nothing_but_the_pages_own(stranger: httpx.Client) -> None:
    for path in ("/static/../../settings.py", "/static/%2e%2e/%2e%2e/settings.py", "/static/"):
        answer = stranger.get(path)
        assert answer.status_code in (401, 404, 405), path
