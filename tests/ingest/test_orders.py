"""What a submission asks for: priority, language, due time, purpose, and who it is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dxmesh.event.v1 import case_ref_pb2 as ref

from services.ingest import order, patient, submission
from services.ingest.limits import Defaults
from services.kernel.crypto import KeyedHash
from services.kernel.errors import InvalidInput

Maker = Callable[..., Any]
DEFAULTS = Defaults(recipient="urn:x|y")
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
pytestmark = pytest.mark.requirement("DX-ING-08")


def read(bundle: Any) -> submission.Submission:
    return submission.read(json.dumps(bundle).encode(), DEFAULTS)


def with_order(bundle: Maker, **changes: Any) -> Any:
    whole = bundle()
    whole["entry"][1]["resource"] |= changes
    whole["entry"][1]["resource"] = {
        name: value for name, value in whole["entry"][1]["resource"].items() if value is not None
    }
    return whole


def paths(bundle: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read(bundle)
    return [violation.path for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("stat", ref.PRIORITY_STAT),
        ("asap", ref.PRIORITY_URGENT),
        ("urgent", ref.PRIORITY_URGENT),
        ("routine", ref.PRIORITY_ROUTINE),
        (None, ref.PRIORITY_ROUTINE),
    ],
)
def test_priority_is_the_orders(bundle: Maker, code: str | None, expected: int) -> None:
    assert read(with_order(bundle, priority=code)).priority == expected


def test_an_unknown_priority_is_refused(bundle: Maker) -> None:
    assert paths(with_order(bundle, priority="soon")) == ["Bundle.entry[1].resource.priority"]


@pytest.mark.parametrize(
    ("of_bundle", "of_order", "expected", "problem"),
    [
        ("zh-CN", "en", ref.LANGUAGE_ZH, ""),
        ("", "zh", ref.LANGUAGE_ZH, ""),
        ("en-GB", "zh", ref.LANGUAGE_EN, ""),
        ("", "", ref.LANGUAGE_EN, ""),
        ("fr", "", ref.LANGUAGE_EN, "Bundle.language"),
        ("", "fr", ref.LANGUAGE_EN, "Bundle.entry[1].resource.language"),
    ],
)
def test_language_is_the_bundles_then_the_orders(
    bundle: Maker, of_bundle: str, of_order: str, expected: int, problem: str
) -> None:
    whole = with_order(bundle, language=of_order or None)
    if of_bundle:
        whole["language"] = of_bundle
    found = read(whole)
    assert found.language == expected
    assert [each.source for each in found.problems] == ([problem] if problem else [])


def test_due_time_is_an_hour_on_or_the_stated_one_within_bounds(bundle: Maker) -> None:
    due = order.due("", NOW, DEFAULTS)
    assert due == (NOW + timedelta(hours=1), False)
    stated = {"url": order.DUE_TIME, "valueDateTime": "2026-11-24T18:30:00+08:00"}
    found = read(with_order(bundle, extension=[stated]))
    assert order.due(found.due, NOW, DEFAULTS) == (NOW + timedelta(hours=2, minutes=30), False)
    assert order.due("2020-01-01T00:00:00Z", NOW, DEFAULTS) == (NOW + timedelta(minutes=1), True)
    assert order.due("2099-01-01T00:00:00Z", NOW, DEFAULTS) == (NOW + timedelta(days=7), True)
    for vague in ({"valueDateTime": "2026-11-24"}, {"valueString": "noon"}):
        wrong = with_order(bundle, extension=[{"url": order.DUE_TIME} | vague])
        assert paths(wrong) == ["Bundle.entry[1].resource.extension[0]"]


def test_purpose_is_treatment_unless_labelled_otherwise(bundle: Maker) -> None:
    assert read(bundle()).purpose == "TREAT"
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    research = {"security": [{"system": system, "code": "HRESCH"}]}
    assert read(bundle(meta=research)).purpose == "HRESCH"
    training = {"security": [{"system": "urn:dxmesh:purpose", "code": "MODELTRAIN"}]}
    assert read(with_order(bundle, meta=training)).purpose == "MODELTRAIN"
    marketing = {"security": [{"system": system, "code": "HMARKT"}]}
    assert paths(bundle(meta=marketing)) == ["Bundle.meta.security"]
    both = with_order(bundle, meta=training) | {"meta": research}
    assert paths(both) == ["Bundle.meta.security"]


def mr(value: str, **more: Any) -> dict[str, Any]:
    return {"system": "urn:mrn", "value": value, "type": {"coding": [{"code": "MR"}]}} | more


@pytest.mark.requirement("DX-ING-09")
def test_a_person_is_known_by_the_record_number_whatever_else_is_sent() -> None:
    card = {"system": "urn:card", "value": "7"}
    known = ("identifier", "urn:mrn", "1")
    assert patient.key_of({"identifier": [mr("1")]}, "") == known
    assert patient.key_of({"identifier": [card, mr(" 1 ")], "id": "x"}, "urn:uuid:1") == known
    assert patient.key_of({"identifier": [mr("0", use="old"), mr("1"), card]}, "") == known
    assert patient.key_of({"identifier": [{"value": "5"}, card]}, "") == (
        "identifier",
        "urn:card",
        "7",
    )
    assert patient.key_of({"id": "p1"}, "urn:uuid:1") == ("reference", "Patient/p1")
    assert patient.key_of({}, "urn:uuid:1") == ("reference", "urn:uuid:1")


@pytest.mark.requirement("DX-ING-09")
def test_the_same_order_number_of_another_patient_is_another_case(bundle: Maker) -> None:
    hasher = KeyedHash(b"k" * 32)
    one, other = bundle(), bundle()
    other["entry"][0]["resource"]["identifier"][0]["value"] = "DEMO-000002"
    first, second = (submission.keys(read(each), hasher) for each in (one, other))
    assert not set(first.all) & set(second.all)
    assert first.case_id != second.case_id and first.subject != second.subject
