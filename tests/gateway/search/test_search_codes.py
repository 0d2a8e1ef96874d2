"""What tokens, references, uris and composites mean, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir.search.query import parse
from services.kernel.errors import InvalidInput
from tests.gateway.search.finding import found, observation, patient

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
GENDER = "http://hl7.org/fhir/administrative-gender"
HEADACHE = {
    "resourceType": "Condition",
    "code": {
        "coding": [{"system": SNOMED, "code": "25064002", "display": "Headache"}],
        "text": "general headache",
    },
}
MEDICAL_RECORD = {
    "type": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}],
        "text": "Record number",
    },
    "system": "http://acme.org/patient",
    "value": "2345",
}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("name", "asked", "resource", "expected"),
    [
        # 3.1.1.4.10
        ("identifier", "http://acme.org/patient|2345", patient(identifier=[MEDICAL_RECORD]), True),
        ("identifier", "http://acme.org|2345", patient(identifier=[MEDICAL_RECORD]), False),
        ("identifier", "2345", patient(identifier=[MEDICAL_RECORD]), True),
        ("identifier", "|2345", patient(identifier=[MEDICAL_RECORD]), False),
        ("identifier", "|2345", patient(identifier=[{"value": "2345"}]), True),
        ("identifier", "http://acme.org/patient|", patient(identifier=[MEDICAL_RECORD]), True),
        (
            "identifier:of-type",
            "http://terminology.hl7.org/CodeSystem/v2-0203|MR|2345",
            patient(identifier=[MEDICAL_RECORD]),
            True,
        ),
        (
            "identifier:of-type",
            "http://terminology.hl7.org/CodeSystem/v2-0203|SS|2345",
            patient(identifier=[MEDICAL_RECORD]),
            False,
        ),
        ("identifier:text", "record", patient(identifier=[MEDICAL_RECORD]), True),
        ("gender", "male", patient(gender="male"), True),
        ("gender", f"{GENDER}|male", patient(gender="male"), True),
        ("gender", f"{LOINC}|male", patient(gender="male"), False),
        ("gender:not", "male", patient(gender="female"), True),
        ("gender:not", "male", patient(gender="male"), False),
        ("gender:not", "male", patient(), True),
        ("gender:not", "male,female", patient(gender="female"), False),
        ("active", "true", patient(active=True), True),
        ("active", "false", patient(active=True), False),
        ("code", f"{SNOMED}|25064002", HEADACHE, True),
        ("code", "25064002", HEADACHE, True),
        ("code:text", "headache", HEADACHE, True),
        ("code:text", "general head", HEADACHE, True),
        ("code:text", "ache", HEADACHE, False),
        ("code:not", "25064002", HEADACHE, False),
        ("code", "Headache", HEADACHE, False),
        ("_id", "p", patient(), True),
        ("_id", "P", patient(), False),
        ("telecom", "A@b.org", patient(telecom=[{"system": "email", "value": "a@B.org"}]), True),
        ("email", "a@b.org", patient(telecom=[{"system": "email", "value": "a@b.org"}]), True),
        ("phone", "a@b.org", patient(telecom=[{"system": "email", "value": "a@b.org"}]), False),
        ("deceased", "true", patient(deceasedDateTime="2020"), True),
        ("deceased", "false", patient(), True),
        ("deceased", "true", patient(deceasedBoolean=False), False),
    ],
)
def test_tokens(name: str, asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, name, asked) is expected


def about(reference: str, **more: Any) -> dict[str, Any]:
    return observation(subject={"reference": reference} | more)


ACME = {"identifier": {"system": "http://acme.org/fhir/identifier/mrn", "value": "123456"}}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("name", "asked", "resource", "expected"),
    [
        # 3.1.1.4.12
        ("subject", "Patient/23", about("Patient/23"), True),
        ("subject", "23", about("Patient/23"), True),
        ("subject", "23", about("Group/23"), True),
        ("subject:Patient", "23", about("Patient/23"), True),
        ("subject:Patient", "23", about("Group/23"), False),
        ("subject:Patient", "Patient/23", about("Patient/23"), True),
        ("patient", "23", about("Patient/23"), True),
        ("patient", "23", about("http://server/fhir/Patient/23"), True),
        ("subject", "23", about("http://server/fhir/Patient/23"), True),
        ("subject", "23", about("http://other/fhir/Patient/23"), False),
        ("patient", "23", about("Group/23"), False),
        ("subject", "http://server/fhir/Patient/23", about("Patient/23"), True),
        ("subject", "Patient/23", about("http://server/fhir/Patient/23"), True),
        ("subject", "Patient/23", about("http://other/fhir/Patient/23"), False),
        ("subject", "http://other/fhir/Patient/23", about("http://other/fhir/Patient/23"), True),
        ("subject", "Patient/23", about("Patient/23/_history/4"), True),
        ("subject", "Patient/23/_history/4", about("Patient/23/_history/4"), True),
        ("subject", "Patient/23/_history/4", about("Patient/23/_history/5"), False),
        ("subject", "Patient/2", about("Patient/23"), False),
        (
            "subject:identifier",
            "http://acme.org/fhir/identifier/mrn|123456",
            about("x", **ACME),
            True,
        ),
        ("subject:identifier", "123456", observation(subject=ACME), True),
        ("subject:identifier", "1234", observation(subject=ACME), False),
        ("subject:missing", "true", observation(), True),
        ("subject", "Patient/1,Patient/2", about("Patient/2"), True),
    ],
)
def test_references(name: str, asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, name, asked) is expected


def test_a_canonical_is_found_with_and_without_its_version() -> None:
    response = {"resourceType": "QuestionnaireResponse", "questionnaire": "http://x/Q|1.0"}
    assert found(response, "questionnaire", "http://x/Q")
    assert found(response, "questionnaire", "http://x/Q|1.0")
    assert not found(response, "questionnaire", "http://x/Q|2.0")


def value_set(url: str) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "status": "draft", "url": url}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("name", "asked", "url", "expected"),
    [
        # 3.1.1.4.13
        ("url", "http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir/ValueSet/123", True),
        ("url", "http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir/ValueSet/1234", False),
        ("url:below", "http://acme.org/fhir/", "http://acme.org/fhir/ValueSet/123", True),
        ("url:below", "http://acme.org/fhir", "http://acme.org/fhirs/1", False),
        (
            "url:above",
            "http://acme.org/fhir/ValueSet/123/_history/5",
            "http://acme.org/fhir/ValueSet/123",
            True,
        ),
        ("url:above", "http://acme.org/fhir/ValueSet/123", "http://acme.org/other", False),
        ("url", "urn:oid:1.2.3.4.5", "urn:oid:1.2.3.4.5", True),
        ("url:below", "urn:oid:1.2", "urn:oid:1.2.3", False),
    ],
)
def test_uris(name: str, asked: str, url: str, expected: bool) -> None:
    assert found(value_set(url), name, asked) is expected


PRESSURE = observation(
    code={"coding": [{"system": LOINC, "code": "85354-9"}]},
    component=[
        {
            "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
            "valueQuantity": {"value": 107},
        },
        {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}, "valueQuantity": {"value": 60}},
    ],
)


@pytest.mark.requirement("DX-SEA-03")
def test_parts_of_a_composite_belong_together() -> None:
    name = "component-code-value-quantity"
    assert found(PRESSURE, name, f"{LOINC}|8480-6$lt110")
    assert not found(PRESSURE, name, f"{LOINC}|8480-6$lt100")
    assert not found(PRESSURE, name, f"{LOINC}|8462-4$gt100")
    assert found(PRESSURE, f"combo-{name[10:]}", "8462-4$60")
    assert found(PRESSURE, name, "1$1,8462-4$60")


@pytest.mark.requirement("DX-SEA-04")
@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Patient", "general-practitioner:below", "Organization/1"),
        ("Patient", "gender:above", "male"),
        ("Patient", "name:text", "x"),
        ("Patient", "birthdate:exact", "2013"),
        ("Patient", "birthdate", "yesterday"),
        ("Patient", "birthdate", "2013-13"),
        ("Patient", "birthdate", "2013-02-30"),
        ("Patient", "name:missing", "perhaps"),
        ("Patient", "name", ""),
        ("Patient", "name", "   "),
        ("Patient", "identifier", "a|b|c"),
        ("Patient", "identifier", "|"),
        ("Patient", "identifier:of-type", "a|b"),
        ("Patient", "general-practitioner:Device", "1"),
        ("RiskAssessment", "probability", "many"),
        ("RiskAssessment", "probability", "1e9999"),
        ("Observation", "value-quantity", "5|mg"),
        ("Observation", "code-value-quantity", "a"),
        ("Observation", "subject:Colour.name", "x"),
        ("Observation", "code.text", "x"),
        ("Observation", "subject.organization.partof.name", "x"),
        ("Patient", "_has:Observation:code:status", "x"),
        ("Patient", "_has:Observation", "x"),
        ("Patient", "_sort", "colour"),
        ("Patient", "_sort", "general-practitioner"),
        ("Patient", "_summary", "all"),
        ("Patient", "_total", "some"),
        ("Patient", "_elements", "colour"),
        ("Patient", "_include", "Patient:name"),
        ("Patient", "_revinclude", "*"),
        ("Patient", "_contained", "true"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_parameter(
    kind: str, name: str, value: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(kind, [(name, value)])
    (violation,) = refused.value.violations
    assert violation.path.startswith("http.")
    assert "yesterday" not in violation.problem


@pytest.mark.requirement("DX-SEA-04")
@pytest.mark.parametrize("name", ["_list", "_text", "_content", "_filter", "_query", "colour"])
def test_a_parameter_that_is_not_served_is_named(name: str) -> None:
    query = parse("Patient", [(name, "x"), ("gender", "male")])
    assert [violation.path for violation in query.unknown] == [f"http.{name}"]
    assert query.used == (("gender", "male"),)
