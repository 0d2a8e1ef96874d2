"""FHIR Observations are built anew: what no rule names is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anonymization import codes, fhir_identity, fhir_rules, submission
from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel import fhir
from services.kernel.crypto import KeyedHash
from services.kernel.errors import InvalidInput

LOINC = "http://loinc.org"
INTERPRETATION = f"{fhir_rules.HL7}v3-ObservationInterpretation"
SECRET = "Quillon赵铁柱"


def rules(known: KnownStrings = NOTHING, **references: str) -> fhir_rules.Rules:
    return fhir_rules.Rules(known, -10, "S1", references)


def made(**elements: Any) -> dict[str, Any]:
    resource = {"resourceType": "Observation", "id": "x", "status": "final"} | elements
    return fhir_rules.observation(resource, "lab-1", rules())


@pytest.mark.requirement("DX-ID-11")
def test_what_a_laboratory_means_stays() -> None:
    content = json.dumps(
        {
            "code": {"coding": [{"system": LOINC, "code": "2160-0"}], "text": "肌酐"},
            "effectiveDateTime": "2024-03-05T08:15:00+08:00",
            "interpretation": [
                {
                    "coding": [
                        {"system": fhir_rules.HL7 + "v3-ObservationInterpretation", "code": "H"}
                    ]
                }
            ],
            "referenceRange": [{"low": {"value": 57, "unit": "μmol/L"}, "text": "57-97"}],
        }
    )
    quantity = '"valueQuantity":{"value":168.00,"unit":"μmol/L","comparator":"<"}'
    resource = fhir.parse(f"{content[:-1]},{quantity}}}".encode())
    result = fhir.dump(fhir_rules.observation(resource, "lab-1", rules())).decode()
    for kept in ("2160-0", "肌酐", "168.00", "μmol/L", '"<"', '"H"', "57-97"):
        assert kept in result, kept
    assert "2024-02-24T08:15:00+08:00" in result


TEXT_FIELDS: list[dict[str, Any]] = [
    {"note": [{"text": SECRET}]},
    {"code": {"text": SECRET, "coding": [{"system": LOINC, "code": SECRET, "display": SECRET}]}},
    {"code": {"coding": [{"system": f"urn:{SECRET}", "code": SECRET}]}},
    {"code": {"coding": [{"system": fhir_rules.HL7 + "x", "code": "Quillon-Vornblat"}]}},
    {"valueString": SECRET},
    {"valueQuantity": {"value": 1, "unit": SECRET, "code": SECRET, "system": f"urn:{SECRET}"}},
    {"valueQuantity": {"value": SECRET, "comparator": SECRET}},
    {"valueQuantity": {"value": 1, "unit": f"mg{{{SECRET}}}"}},
    {"valueCodeableConcept": {"text": SECRET}},
    {"valueDateTime": SECRET, "valueTime": SECRET, "effectiveDateTime": SECRET},
    {"valueRange": {"low": {"value": 1, "unit": SECRET}, "text": SECRET}},
    {"interpretation": [{"text": SECRET}]},
    {"referenceRange": [{"text": SECRET, "appliesTo": [{"text": SECRET}]}]},
    {"component": [{"code": {"text": SECRET}, "valueString": SECRET}, {"extension": [SECRET]}]},
    {"performer": [{"display": SECRET}], "subject": {"display": SECRET}, "device": SECRET},
    {"identifier": [{"value": SECRET}], "method": {"text": SECRET}, "bodySite": {"text": SECRET}},
    {"extension": [{"url": SECRET}], "contained": [{"id": SECRET}], "meta": {"tag": [SECRET]}},
    {"text": {"div": SECRET}, "language": SECRET, "category": [{"text": SECRET}]},
    {"status": SECRET, "_status": {"extension": SECRET}, "hasMember": [{"reference": SECRET}]},
    {"dataAbsentReason": {"text": SECRET}, "valuePeriod": {"start": SECRET}},
]


@pytest.mark.requirement("DX-ID-10")
@pytest.mark.parametrize("elements", TEXT_FIELDS)
def test_unforeseen_text_passes_in_no_element(elements: dict[str, Any]) -> None:
    result = fhir.dump(made(**elements)).decode()
    assert not [part for part in ("Quillon", "赵铁柱", "Vornblat") if part in result]


@pytest.mark.parametrize(
    "text",
    ["阴性", "标本溶血，未测定", "<0.01", "1:320", "12.5-30", "Not detected", "positive (2+)"],
)
def test_value_that_is_a_text_is_kept_as_it_came(text: str) -> None:
    assert made(valueString=text)["valueString"] == text


def test_value_that_may_be_identity_is_removed_and_says_so() -> None:
    assert made(valueString="见王医生报告")["valueString"] == fhir_rules.REMOVED


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["code", "coding", "value", "unit", "low", "text", "system"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(
        ["code", "valueQuantity", "referenceRange", "component", "hasMember", "category", "issued"]
    ),
)
def test_malformed_element_is_left_out_without_an_error(value: Any, key: str) -> None:
    result = made(**{key: value})
    assert result["id"] == "lab-1"


@pytest.mark.parametrize("code", ["2823-3", "24627-2", "718-7"])
def test_loinc_check_digit(code: str) -> None:
    assert codes.is_loinc(code)
    assert not codes.is_loinc(code[:-1] + str((int(code[-1]) + 1) % 10))


def test_snomed_check_digit() -> None:
    assert codes.is_snomed("427359005")
    assert not codes.is_snomed("427359004")
    assert not codes.is_snomed("13912345678")


def test_units_are_told_from_names() -> None:
    for unit in ("mmol/L", "10*9/L", "×10^9/L", "mL/min/{1.73_m2}", "mm[Hg]", "次/分", "%"):
        assert codes.is_unit(unit), unit
    for name in ("Zhao", "mg/Zhao", "赵/L", "m" * 40, "12345678/L"):
        assert not codes.is_unit(name), name


@pytest.mark.requirement("DX-ID-06")
def test_everybody_a_submission_names_is_known() -> None:
    resources = [
        {"resourceType": "Patient", "id": "p20240017", "contact": [{"name": {"text": "周芳"}}]},
        {"resourceType": "Practitioner", "name": [{"family": "Lind", "given": ["Eva", "M"]}]},
        {"resourceType": "Organization", "name": "演示医院 (Demo Clinic)"},
        {"resourceType": "Observation", "performer": [{"display": "钱技师"}]},
        {"resourceType": "ServiceRequest", "identifier": [{"value": "ACC-77"}]},
    ]
    known = fhir_identity.strings_of(resources)
    assert {"周芳", "Lind Eva M", "钱技师"} <= known.names
    assert {"p20240017", "ACC-77"} <= known.numbers
    assert {"演示医院", "Demo Clinic"} <= known.places


def person(birth: str, gender: str = "female", observations: tuple[Any, ...] = ()) -> Any:
    patient = {"resourceType": "Patient", "birthDate": birth, "gender": gender}
    entries = [{"resource": each} for each in (patient, *observations)]
    read = submission.read(fhir.dump({"resourceType": "Bundle", "entry": entries}))
    return submission.subject(read, "2024-03-05")


@pytest.mark.requirement("DX-ID-04")
def test_analysis_is_told_sex_and_age_and_nothing_else() -> None:
    assert person("1964-03-15") == {"sex": "female", "age_years": 59.0, "pregnant": None}
    assert person("1920-01-01")["age_years"] == 90.0
    assert person("2023-09-01")["age_years"] == 0.5
    assert person("2024-02-16") == person("1964-03-15") | {"age_years": 0.0, "age_days": 18}
    assert person("2024-02-06")["age_days"] == 28
    assert all("age_days" not in person(each) for each in ("2024-02-05", "2024-02", "2024"))
    assert person("unknown", "robot") == {"sex": "unknown", "age_years": None, "pregnant": None}


def weeks(code: str, value: Any, unit: str, made: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "effectiveDateTime": made,
        "valueQuantity": {"value": value, "code": unit},
    }


@pytest.mark.requirement("DX-ID-04")
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([weeks("18185-9", 30, "wk", "2024-03-05")], 30),
        ([weeks("18185-9", 30, "wk", "2024-02-06")], 34),
        ([weeks("18185-9", 213, "d", "2024-03-05T08:00:00Z")], 30),
        ([weeks("49051-6", 12, "wk", "2024-01-05"), weeks("11884-4", 22, "wk", "2024-03-01")], 22),
        ([weeks("18185-9", 30, "wk", "2023-03-05")], None),
        ([weeks("18185-9", 30, "wk", "2024-03-06")], None),
        ([weeks("18185-9", 30, "mm", "2024-03-05")], None),
        ([weeks("718-7", 30, "wk", "2024-03-05")], None),
    ],
)
def test_weeks_of_a_pregnancy_are_those_of_the_day(
    told: list[dict[str, Any]], expected: int | None
) -> None:
    status = {
        "resourceType": "Observation",
        "code": {"coding": [{"code": "82810-3"}]},
        "valueCodeableConcept": {"coding": [{"code": "77386006"}]},
    }
    assert person("1994-03-15", observations=(status, *told)).get("gestation_weeks") == expected
    assert "gestation_weeks" not in person("1994-03-15", observations=tuple(told))


def test_pregnancy_is_read_from_its_own_observation() -> None:
    status = {
        "resourceType": "Observation",
        "code": {"coding": [{"system": LOINC, "code": "82810-3"}]},
        "valueCodeableConcept": {"coding": [{"code": "77386006"}]},
    }
    assert person("1994-01-01", observations=(status,))["pregnant"] is True


def test_members_point_to_the_new_ids_and_vital_signs_are_no_results() -> None:
    panel = {"resourceType": "Observation", "id": "a", "hasMember": [{"reference": "urn:uuid:2"}]}
    single = {"resourceType": "Observation", "id": "b", "valueInteger": 3}
    pulse = {"resourceType": "Observation", "category": [{"coding": [{"code": "vital-signs"}]}]}
    resources = [{"resourceType": "Patient"}, panel, single, pulse]
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": r} for n, r in enumerate(resources)]
    read = submission.read(fhir.dump({"resourceType": "Bundle", "entry": entries}))
    pseudonyms = Pseudonyms(KeyedHash(b"k" * 32), "s")
    document, references = submission.labs_part(read, NOTHING, pseudonyms, {})
    observations = json.loads(document)["observations"]
    assert observations[0]["hasMember"] == [{"reference": "Observation/lab-2"}]
    assert references == {"lab-1": "Observation/a", "lab-2": "Observation/b"}


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"entry": []}', b"nothing"])
def test_what_is_no_submission_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        submission.read(content)
