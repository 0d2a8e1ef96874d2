"""The CapabilityStatement: all it declares is served, and what it does not is refused."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir import validation
from services.gateway.fhir.types import TYPES

NAMED = """
Patient Practitioner PractitionerRole Organization Encounter ServiceRequest Task Consent
ImagingStudy Media BodyStructure Specimen Observation DiagnosticReport RiskAssessment
DetectedIssue Condition AllergyIntolerance MedicationStatement DocumentReference Composition
Binary Device Provenance AuditEvent Communication Flag Subscription Endpoint Group
QuestionnaireResponse
""".split()  # noqa: SIM905 - a list of names reads better so
FLAG: dict[str, Any] = {
    "resourceType": "Flag",
    "status": "active",
    "code": {"text": "x"},
    "subject": {"reference": "Patient/p"},
    "identifier": [{"system": "urn:f", "value": "1"}],
}


async def described(server: Any, kind: str) -> dict[str, Any]:
    statement = (await server("GET", "metadata")).json()
    (found,) = [r for r in statement["rest"][0]["resource"] if r["type"] == kind]
    return dict(found)


@pytest.mark.requirement("DX-INT-13")
async def test_the_statement_conforms_and_names_every_type(server: Any) -> None:
    statement = (await server("GET", "metadata")).json()
    assert validation.problems(statement) == []
    rest = statement["rest"][0]
    types = {resource["type"] for resource in rest["resource"]}
    assert types == TYPES and types >= set(NAMED)
    for resource in rest["resource"]:
        assert len(resource["searchParam"]) >= 5, resource["type"]
    codes = {interaction["code"] for interaction in rest["interaction"]}
    assert codes >= {"transaction", "batch", "history-system"}
    forms = ["json-patch+json", "merge-patch+json", "fhir+json"]
    assert statement["patchFormat"] == [f"application/{form}" for form in forms]
    audit = await described(server, "AuditEvent")
    assert {i["code"] for i in audit["interaction"]} == {
        "read",
        "vread",
        "search-type",
        "history-type",
        "history-instance",
    }
    assert not audit["conditionalCreate"] and not audit["updateCreate"]


@pytest.mark.requirement("DX-INT-13")
async def test_all_that_is_declared_of_a_type_is_served(server: Any) -> None:
    flag = await described(server, "Flag")
    await server.put({**FLAG, "id": "f"})
    patch = [{"op": "replace", "path": "/status", "value": "inactive"}]
    json_patch = {"content_type": "application/json-patch+json"}
    calls: dict[str, tuple[tuple[Any, ...], dict[str, str], int]] = {
        "read": (("GET", "Flag/f"), {}, 200),
        "vread": (("GET", "Flag/f/_history/1"), {}, 200),
        "search-type": (("GET", "Flag?_id=f"), {}, 200),
        "history-instance": (("GET", "Flag/f/_history"), {}, 200),
        "history-type": (("GET", "Flag/_history"), {}, 200),
        "create": (
            ("POST", "Flag", {**FLAG, "identifier": []} | {"identifier": [{"value": "2"}]}),
            {},
            201,
        ),
        "update": (("PUT", "Flag/g", {**FLAG, "id": "g", "identifier": [{"value": "3"}]}), {}, 201),
        "patch": (("PATCH", "Flag/f", patch), json_patch, 200),
        "delete": (("DELETE", "Flag/g"), {}, 204),
    }
    declared = [interaction["code"] for interaction in flag["interaction"]]
    assert sorted(declared) == sorted(calls)
    for code in calls:
        arguments, headers, status = calls[code]
        answer = await server(*arguments, **headers)
        assert answer.status_code == status, (code, answer.text)
    assert flag["conditionalCreate"] and flag["conditionalUpdate"] and flag["updateCreate"]
    one = "identifier=urn:f%7C1"
    found = await server("POST", "Flag", FLAG, if_none_exist=one)
    updated = await server("PUT", f"Flag?{one}", FLAG)
    known = await server("GET", "Flag/f", if_none_match=updated.headers["etag"])
    assert [found.status_code, updated.status_code, known.status_code] == [200, 200, 304]
    assert flag["conditionalRead"] == "full-support" and flag["conditionalDelete"] == "single"
    assert (await server("DELETE", f"Flag?{one}")).status_code == 204
    assert [operation["name"] for operation in flag["operation"]] == ["validate"]
    assert (await server("POST", "Flag/$validate", FLAG)).status_code == 200


@pytest.mark.requirement("DX-INT-13")
async def test_every_declared_search_parameter_and_include_is_served(server: Any) -> None:
    flag = await described(server, "Flag")
    values = {"date": "2026", "number": "1", "quantity": "1", "uri": "urn:x", "composite": "a$b"}
    for parameter in flag["searchParam"]:
        value = values.get(parameter["type"], "x")
        answer = await server("GET", f"Flag?{parameter['name']}={value}")
        assert answer.status_code == 200, (parameter, answer.text)
    for name, parameter in (
        *(("_include", include) for include in flag["searchInclude"]),
        *(("_revinclude", include) for include in flag["searchRevInclude"][:10]),
    ):
        answer = await server("GET", f"Flag?{name}={parameter}")
        assert answer.status_code == 200, (parameter, answer.text)
    assert (await server("GET", "Flag?colour=red")).status_code == 400


@pytest.mark.requirement("DX-INT-13")
async def test_what_is_not_declared_is_refused(server: Any) -> None:
    for method, path in (
        ("PATCH", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "metadata/x"),
        ("POST", "Flag/f"),
        ("POST", "Flag/f/_history"),
        ("DELETE", "Flag/f/_history"),
        ("DELETE", "Flag/f/_history/1"),
        ("GET", "Flag/f/$nothing"),
        ("GET", "Flag/$everything"),
        ("GET", "Flag/f/$document"),
        ("POST", "Nothing"),
        ("POST", "Parameters"),
    ):
        answer = await server(method, path, FLAG)
        assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
        assert answer.json()["resourceType"] == "OperationOutcome", path
