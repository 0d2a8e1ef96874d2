"""A Bundle that cannot be used is refused with every problem by its path, and nothing is kept."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest import submission
from services.ingest.limits import Defaults
from services.kernel.errors import InvalidInput

Maker = Callable[..., Any]
DEFAULTS = Defaults(recipient="urn:x|y")
RESOURCE = "Bundle.entry[{}].resource{}"


def read(bundle: Any) -> submission.Submission:
    return submission.read(json.dumps(bundle).encode(), DEFAULTS)


def problems(bundle: Any) -> dict[str, str]:
    """Return path → problem."""
    with pytest.raises(InvalidInput) as caught:
        read(bundle)
    assert caught.value.reason == "NOT_A_SUBMISSION"
    return {each.path: each.problem for each in caught.value.violations}


def observation(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "CRP"},
        "subject": {"reference": "Patient/demo-patient"},
    } | changes


@pytest.mark.requirement("DX-ING-06")
@pytest.mark.parametrize("kind", ["Patient", "ServiceRequest", "Consent"])
def test_what_a_case_needs_must_be_there(bundle: Maker, kind: str) -> None:
    found = problems(bundle(without=kind))
    assert kind in found["Bundle.entry"]


@pytest.mark.requirement("DX-ING-06")
def test_a_second_patient_or_order_is_refused_where_it_stands(bundle: Maker) -> None:
    whole = bundle()
    patient, order = (copy.deepcopy(whole["entry"][n]) for n in (0, 1))
    patient["resource"]["id"] = "another"
    whole["entry"] += [patient, order]
    assert set(problems(whole)) == {RESOURCE.format(5, ""), RESOURCE.format(6, "")}


@pytest.mark.requirement("DX-ING-06")
def test_all_problems_are_named_at_once_with_their_full_paths(bundle: Maker) -> None:
    whole = bundle(
        {"resourceType": "Spaceship"},
        observation(valueQuantity={"value": "many"}),
        {"resourceType": "HumanName", "text": "not a resource"},
        {"resourceType": ["Patient"]},
        observation(code=None),
        without="Consent",
    )
    whole["entry"][0]["resource"]["birthDate"] = "64-03-15"
    whole["entry"][2]["fullUrl"] = 7
    found = problems(whole)
    assert set(found) == {
        RESOURCE.format(0, ".birthDate"),
        "Bundle.entry[2].fullUrl",
        "Bundle.entry",
        RESOURCE.format(3, ".resourceType"),
        RESOURCE.format(4, ".valueQuantity.value"),
        RESOURCE.format(5, ".resourceType"),
        RESOURCE.format(6, ".resourceType"),
        RESOURCE.format(7, ".code"),
    }
    assert "64-03-15" not in str(found) and "many" not in str(found)


@pytest.mark.requirement("DX-ING-06")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "NOT_JSON"),
        (b"{", "NOT_JSON"),
        (b'{"resourceType": "Bundle", "resourceType": "Bundle"}', "DUPLICATE_KEY"),
        (b"\xff\xfe{}", "NOT_UTF8"),
        (b"[" * 65 + b"]" * 65, "TOO_DEEP"),
        (b'{"a":' * 64 + b"[]" + b"}" * 64, "TOO_DEEP"),
        (b"[]", "NOT_A_SUBMISSION"),
        (b'{"resourceType": "Patient"}', "NOT_A_SUBMISSION"),
        (b'{"resourceType": "Bundle", "entry": "x"}', "NOT_A_SUBMISSION"),
        (b'{"resourceType": "Bundle", "entry": [1, {"resource": []}]}', "NOT_A_SUBMISSION"),
    ],
)
def test_what_is_no_bundle_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        submission.read(content, DEFAULTS)
    assert caught.value.reason == reason


@pytest.mark.requirement("DX-ING-06")
@pytest.mark.parametrize("kind", ["batch", "document", "message", "searchset", "", None])
def test_only_a_transaction_or_collection_is_one_submission(
    bundle: Maker, kind: str | None
) -> None:
    assert "Bundle.type" in problems(bundle(type=kind))
    read(bundle(type="collection"))


@pytest.mark.requirement("DX-ING-06")
def test_a_transaction_that_deletes_is_no_submission(bundle: Maker) -> None:
    whole = bundle()
    whole["entry"][3]["request"] = {"method": "DELETE", "url": "Observation/1"}
    assert set(problems(whole)) == {"Bundle.entry[3].request.method"}


@pytest.mark.requirement("DX-ING-07")
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"subject": {"reference": "Patient/somebody"}}, ".subject"),
        ({"subject": {"reference": "https://ehr.example/fhir/Patient/somebody"}}, ".subject"),
        ({"subject": {"reference": "urn:uuid:aaaa"}}, ".subject"),
        ({"subject": {"reference": "Group/ward-3"}}, ".subject"),
        ({"subject": {"identifier": {"system": "urn:x", "value": "9"}}}, ".subject"),
        ({"performer": [{"reference": "Patient/somebody"}]}, ".performer[0].reference"),
        ({"focus": [{"reference": "Patient/mother/_history/2"}]}, ".focus[0].reference"),
        ({"contained": [{"resourceType": "Patient", "id": "p"}]}, ".contained[0]"),
    ],
)
def test_another_patients_result_is_refused_by_path(
    bundle: Maker, changes: dict[str, Any], path: str
) -> None:
    assert set(problems(bundle(observation(**changes)))) == {RESOURCE.format(4, path)}


@pytest.mark.requirement("DX-ING-07")
@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/demo-patient"},
        {"reference": "Patient/demo-patient/_history/3"},
        {"reference": "https://ehr.example/fhir/Patient/demo-patient"},
        {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"},
        {"identifier": {"system": "urn:dxmesh:demo", "value": "DEMO-000001"}},
        None,
    ],
)
def test_this_patient_may_be_named_in_any_way(bundle: Maker, subject: Any) -> None:
    whole = bundle(observation(subject=subject) if subject else observation())
    whole["entry"][0]["fullUrl"] = "urn:uuid:11111111-1111-4111-8111-111111111111"
    whole["entry"][0]["resource"]["link"] = [
        {"other": {"reference": "Patient/old-record"}, "type": "replaces"}
    ]
    read(whole)


@pytest.mark.requirement("DX-ING-07")
def test_a_consent_of_somebody_else_is_refused(bundle: Maker) -> None:
    whole = bundle()
    whole["entry"][2]["resource"]["patient"]["reference"] = "Patient/somebody"
    assert set(problems(whole)) == {RESOURCE.format(2, ".patient")}


@pytest.mark.requirement("DX-ING-06")
def test_the_number_of_entries_and_a_consents_size_have_limits(bundle: Maker) -> None:
    few = Defaults(recipient="urn:x|y", entries_max=3)
    with pytest.raises(InvalidInput) as caught:
        submission.read(json.dumps(bundle()).encode(), few)
    assert caught.value.violations[0].path == "Bundle.entry"
    whole = bundle()
    whole["entry"][2]["resource"]["policyRule"]["text"] = "x" * (256 << 10)
    assert set(problems(whole)) == {RESOURCE.format(2, "")}


@pytest.mark.requirement("DX-ING-06")
@given(data=st.data())
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_change_to_a_bundle_crashes_the_checks(bundle: Maker, data: st.DataObject) -> None:
    whole = bundle()
    odd = st.sampled_from([None, 0, 1.5, "", "x", [], [None], {}, [{}], {"reference": 3}, True])
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = whole
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            deeper = place[key] if isinstance(place[key], dict | list) and place[key] else None
            if deeper is None or data.draw(st.integers(0, 4)) == 0:
                place[key] = copy.deepcopy(data.draw(odd))
                break
            place = deeper
    try:
        read(whole)
    except InvalidInput as error:
        assert error.violations and all(v.path for v in error.violations)
