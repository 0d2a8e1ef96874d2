"""What each parameter type, prefix and modifier means: the tables of the R4 search page.

Each row is a line of the standard's own text (search.html, 3.1.1.4), or follows from one.
"""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir.search.match import matches
from services.gateway.fhir.search.query import parse
from services.kernel import fhir
from services.kernel.errors import InvalidInput

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def found(resource: dict[str, Any], name: str, value: str) -> bool:
    parsed = fhir.parse(fhir.dump(resource))
    query = parse(
        resource["resourceType"],
        [(name, value)],
        base_url="http://server/fhir",
        now_us=NOW_US,
    )
    assert not query.unknown, query.unknown
    return matches(query, parsed)


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}} | elements


def dated(value: Any) -> dict[str, Any]:
    name = "effectivePeriod" if isinstance(value, dict) else "effectiveDateTime"
    return observation(**{name: value})


FROM_15_MARCH = {"start": "2013-03-15"}
FROM_21_JANUARY = {"start": "2013-01-21"}
UNTIL_21_JANUARY = {"end": "2013-01-21"}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        # 3.1.1.4.6, the table of prefixes
        ("eq2013-01-14", "2013-01-14T00:00:00Z", True),
        ("eq2013-01-14", "2013-01-14T10:00:00Z", True),
        ("eq2013-01-14", "2013-01-15T00:00:00Z", False),
        ("ne2013-01-14", "2013-01-15T00:00:00Z", True),
        ("ne2013-01-14", "2013-01-14T00:00:00Z", False),
        ("ne2013-01-14", "2013-01-14T10:00:00Z", False),
        ("lt2013-01-14T10:00", "2013-01-14", True),
        ("gt2013-01-14T10:00", "2013-01-14", True),
        ("ge2013-03-14", FROM_21_JANUARY, True),
        ("le2013-03-14", FROM_21_JANUARY, True),
        ("sa2013-03-14", FROM_15_MARCH, True),
        ("sa2013-03-14", FROM_21_JANUARY, False),
        ("sa2013-03-14", UNTIL_21_JANUARY, False),
        ("eb2013-03-14", FROM_15_MARCH, False),
        ("eb2013-03-14", FROM_21_JANUARY, False),
        ("eb2013-03-14", UNTIL_21_JANUARY, True),
        ("ap2013-03-14", "2013-03-14", True),
        ("ap2013-03-14", "2013-01-21", True),
        ("ap2013-03-14", "1990-01-21", False),
        # precision is the range a date covers
        ("2013", "2013-05-01", True),
        ("2013-05", "2013-05-31T23:59:59Z", True),
        ("2013-05", "2013", False),
        ("2013-01-14T10:00:00Z", "2013-01-14T18:00:00+08:00", True),
        ("2013-01-14T18:00:00 08:00", "2013-01-14T10:00:00Z", True),
        ("2013-01-14T10:00", "2013-01-14T10:00:59Z", True),
        ("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.512Z", True),
        ("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.612Z", False),
        ("2012-02", "2012-02-29", True),
        ("gt2013", "2013-12-31", False),
        ("gt2013-06", "2013", True),
        ("ge2013-01-14", "2013-01-14", True),
        ("le2013-01-14", "2013-01-14T23:00:00Z", True),
        # a period, its bounds
        ("2013", {"start": "2013-02-01", "end": "2013-03-01"}, True),
        ("2013", {"start": "2013-02-01"}, False),
        ("eq2013-02", {"start": "2013-02-01", "end": "2013-03-01"}, False),
        ("9999", "9999-12-31", True),
    ],
)
def test_dates(asked: str, value: Any, expected: bool) -> None:
    assert found(dated(value), "date", asked) is expected


def test_a_timing_counts_from_its_first_to_its_last_moment() -> None:
    events = {"event": ["2013-01-31", "2013-03-24"]}
    request = {"resourceType": "ServiceRequest", "occurrenceTiming": events}
    assert found(request, "occurrence", "ge2013-02-01")
    assert found(request, "occurrence", "2013")
    assert not found(request, "occurrence", "2013-02")
    bounds = {"repeat": {"boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"}}}
    assert found({**request, "occurrenceTiming": bounds}, "occurrence", "lt2013-02")


def probability(value: str) -> dict[str, Any]:
    prediction = [{"probabilityDecimal": fhir.Number(value)}]
    return {"resourceType": "RiskAssessment", "status": "final", "prediction": prediction}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        # 3.1.1.4.5
        ("100", "99.5", True),
        ("100", "100.49", True),
        ("100", "100.5", False),
        ("100", "99.49", False),
        ("100.00", "99.995", True),
        ("100.00", "100.005", False),
        ("1e2", "95", True),
        ("1e2", "104.99", True),
        ("1e2", "105", False),
        ("1e2", "94.9", False),
        ("lt100", "99.9999", True),
        ("lt100", "100", False),
        ("le100", "100", True),
        ("le100", "100.0001", False),
        ("gt100", "100.0001", True),
        ("gt100", "100", False),
        ("ge100", "100", True),
        ("ne100", "100.2", False),
        ("ne100", "101", True),
        ("sa100", "101", True),
        ("eb100", "99", True),
        ("ap100", "109", True),
        ("ap100", "111", False),
        ("-3", "-3.2", True),
        ("lt-3", "-4", True),
        ("0.8", "0.80", True),
        ("0.123456789012345", "0.123456789012345", True),
        ("0.123456789012345", "0.123456789012346", False),
    ],
)
def test_numbers(asked: str, value: str, expected: bool) -> None:
    assert found(probability(value), "probability", asked) is expected


UCUM = "http://unitsofmeasure.org"


def measured(value: str, unit: str = "mg", system: str = UCUM, **more: Any) -> dict[str, Any]:
    quantity = {"value": fhir.Number(value), "unit": "milligram", "code": unit}
    return observation(valueQuantity=quantity | ({"system": system} if system else {}) | more)


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "resource", "expected"),
    [
        # 3.1.1.4.11
        (f"5.4|{UCUM}|mg", measured("5.4"), True),
        (f"5.4|{UCUM}|mg", measured("5.449"), True),
        (f"5.4|{UCUM}|mg", measured("5.45"), False),
        (f"5.4|{UCUM}|mg", measured("5.4", "g"), False),
        (f"5.4|{UCUM}|mg", measured("5.4", system="urn:other"), False),
        (f"5.40e-3|{UCUM}|g", measured("0.0054", "g"), True),
        (f"5.40e-3|{UCUM}|g", measured("0.00544", "g"), True),
        (f"5.40e-3|{UCUM}|g", measured("0.00546", "g"), False),
        ("5.4||mg", measured("5.4", system=""), True),
        ("5.4||milligram", measured("5.4"), True),
        ("5.4||kg", measured("5.4"), False),
        ("5.4", measured("5.4", "kg"), True),
        (f"le5.4|{UCUM}|mg", measured("5.4"), True),
        (f"ap5.4|{UCUM}|mg", measured("5.9"), True),
        (f"ap5.4|{UCUM}|mg", measured("6"), False),
        ("lt5", measured("5", comparator="<"), True),
        ("gt5", measured("5", comparator="<"), False),
        ("gt100", measured("5", comparator=">="), True),
    ],
)
def test_quantities(asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, "value-quantity", asked) is expected


def test_a_range_and_money_are_quantities() -> None:
    onset = {"low": {"value": 20, "code": "a"}, "high": {"value": 29, "code": "a"}}
    condition = {"resourceType": "Condition", "onsetRange": onset}
    assert found(condition, "onset-age", "lt25") and found(condition, "onset-age", "gt25")
    assert not found(condition, "onset-age", "gt29")
    invoice = {"resourceType": "Invoice", "totalGross": {"value": 48, "currency": "EUR"}}
    assert found(invoice, "totalgross", "48|urn:iso:std:iso:4217|EUR")
    assert not found(invoice, "totalgross", "48|urn:iso:std:iso:4217|USD")


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p"} | elements


def called(family: str, *given: str) -> dict[str, Any]:
    return patient(name=[{"family": family, "given": list(given)}])


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("name", "asked", "resource", "expected"),
    [
        # 3.1.1.4.8
        ("given", "eve", called("x", "Eve"), True),
        ("given", "eve", called("x", "Evelyn"), True),
        ("given", "eve", called("x", "Severine"), False),
        ("given:contains", "eve", called("x", "Eve"), True),
        ("given:contains", "eve", called("x", "Evelyn"), True),
        ("given:contains", "eve", called("x", "Severine"), True),
        ("given:exact", "Eve", called("x", "Eve"), True),
        ("given:exact", "Eve", called("x", "eve"), False),
        ("given:exact", "Eve", called("x", "EVE"), False),
        ("family", "muller", called("Müller"), True),
        ("family", "MÜLLER", called("muller"), True),
        ("family:exact", "Müller", called("Muller"), False),
        ("family", "strasse", called("Straße"), True),
        ("family", "o'neil", called("O'Neil"), True),
        ("name", "张", called("张", "伟"), True),
        ("name", "张伟", called("张", "伟"), True),
        ("name", "张 伟", called("张", "伟"), True),
        ("name:contains", "伟", called("张", "大伟"), True),
        ("name", "Ｚhang", called("zhang"), True),
        ("name", "anna  maria", called("x", "Anna Maria"), True),
        ("name", "a\\,b", called("A,B"), True),
        ("name", "smith,jones", called("Jones"), True),
        ("family:missing", "true", patient(), True),
        ("family:missing", "false", called("x"), True),
        ("family:missing", "true", called("x"), False),
        ("family", "が", called("か"), False),
    ],
)
def test_strings(name: str, asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, name, asked) is expected


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
