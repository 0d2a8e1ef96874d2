"""Identity is put back, and nothing of the analysis zone's own names is left."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anonymization.text.redact import redact
from services.gateway.restore import Identity, in_words, restore, to_true_date
from services.kernel import fhir
from services.kernel.errors import InvalidInput

STUDY = {
    "resourceType": "ImagingStudy",
    "id": "study-1",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    "status": "available",
    "subject": {"reference": "Patient/p-1"},
}


def uids_of(bundle: dict[str, Any]) -> list[str]:
    """UIDs that stand for the hospital's; those of objects that the mesh made stand for nothing."""
    text = fhir.dump(bundle)
    made = set(re.findall(rb"-([0-9.]+)\.dcm", text))
    return sorted(set(re.findall(rb"urn:oid:([0-9.]+)", text)) - made)


def identity(setting: Any, bundle: dict[str, Any], **changes: Any) -> Identity:
    uids = {uid.decode(): f"9.9.{n}" for n, uid in enumerate(uids_of(bundle))}
    wanted = bundle["entry"][0]["resource"]["imagingStudy"][0]["identifier"]["value"]
    true = "urn:oid:" + uids[wanted.removeprefix("urn:oid:")]
    study = {**STUDY, "identifier": [{"system": "urn:dicom:uid", "value": true}]}
    values: dict[str, Any] = {
        "patient": setting.PATIENT,
        "service_request": setting.ORDER,
        "imaging_studies": [study],
        "days": 11,
        "uids": uids,
        "references": {"obs-1": "Observation/lab-1", "note-1": "DocumentReference/note-9"},
    }
    return Identity(**(values | changes))


@pytest.mark.requirement("DX-GW-20")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_name_of_the_analysis_zone_is_left(setting: Any, language: str) -> None:
    bundle = setting.sample_report(language)
    pseudonyms = set(re.findall(rb'"Patient/([^"]+)"', fhir.dump(bundle)))
    restored = restore(bundle, identity(setting, bundle))
    text = fhir.dump(restored)
    assert pseudonyms and not any(pseudonym in text for pseudonym in pseudonyms)
    assert not any(uid in text for uid in uids_of(bundle))
    assert b"urn:dxmesh:source" not in text


@pytest.mark.requirement("DX-GW-20")
def test_patient_order_and_study_are_the_submitted_ones(setting: Any) -> None:
    bundle = setting.sample_report()
    restored = restore(bundle, identity(setting, bundle))
    resources = {e["resource"]["resourceType"]: e["resource"] for e in restored["entry"]}
    report = next(
        e["resource"]
        for e in restored["entry"]
        if e["resource"]["resourceType"] == "DiagnosticReport"
    )
    assert report["subject"]["reference"] == "Patient/p-1"
    assert report["basedOn"][0]["reference"] == "ServiceRequest/order-1"
    assert "ImagingStudy/study-1" in [s.get("reference") for s in report["imagingStudy"]]
    assert resources["Patient"]["name"] == setting.PATIENT["name"]


@pytest.mark.requirement("DX-GW-20")
def test_dates_of_care_move_and_times_of_the_mesh_stay(setting: Any) -> None:
    bundle = setting.sample_report()
    restored = restore(bundle, identity(setting, bundle))
    for before, after in zip(bundle["entry"], restored["entry"], strict=False):
        old, new = before["resource"], after["resource"]
        if "effectiveDateTime" in old:
            moved = to_true_date(old["effectiveDateTime"], 11)
            assert new["effectiveDateTime"] == moved != old["effectiveDateTime"]
        for name in ("issued", "recorded", "occurredPeriod"):
            assert new.get(name) == old.get(name)


def test_decimals_keep_every_digit(setting: Any) -> None:
    bundle = setting.sample_report()
    assert b"6.80" in fhir.dump(restore(bundle, identity(setting, bundle)))


def test_a_study_that_was_not_submitted_keeps_its_true_uid(setting: Any) -> None:
    bundle = setting.sample_report()
    restored = restore(bundle, identity(setting, bundle, imaging_studies=[]))
    report = restored["entry"][0]["resource"]
    assert report["imagingStudy"][0]["identifier"]["value"].startswith("urn:oid:9.9.")


def test_a_patient_without_an_id_is_refused(setting: Any) -> None:
    bundle = setting.sample_report()
    with pytest.raises(InvalidInput):
        restore(bundle, identity(setting, bundle, patient={"resourceType": "Patient"}))


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-4000, 4000))
def test_a_date_moves_by_whole_days_and_back(day: date, days: int) -> None:
    text = f"{day.isoformat()}T10:20:30.123+08:00"
    moved = to_true_date(text, days)
    assert moved[:10] == (day + timedelta(days=days)).isoformat()
    assert to_true_date(moved, -days) == text


@given(st.text(max_size=40), st.integers(-5000, 5000))
def test_what_is_no_date_comes_back_as_it_was(text: str, days: int) -> None:
    assert isinstance(to_true_date(text, days), str)


@pytest.mark.parametrize("text", ["2026", "2026-11", "2026-13-40", "9999-12-31"])
def test_partial_and_impossible_dates_are_left_alone(text: str) -> None:
    assert to_true_date(text, 30) == text


@pytest.mark.requirement("DX-GW-20")
@pytest.mark.parametrize(
    ("written", "true"),
    [
        ("Present illness, 2026-10-11: Cough.", "Present illness, 2026-10-22: Cough."),
        ("主诉：2026年10月25日起咳嗽。", "主诉：2026年11月5日起咳嗽。"),
        ("2026-10-31、2026-12-31", "2026-11-11、2027-01-11"),
        ("Kost GJ, JAMA 1990;263:704", "Kost GJ, JAMA 1990;263:704"),
        (
            "1.2.2026-10-11 and 2026-13-40 and 2026年10月",
            "1.2.2026-10-11 and 2026-13-40 and 2026年10月",
        ),
    ],
)
def test_date_in_a_sentence_is_the_true_one(written: str, true: str) -> None:
    assert in_words(written, 11) == true


@pytest.mark.requirement("DX-GW-20")
@pytest.mark.parametrize("days", [1, 15, 16, 45, 364, 420, 730])
@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_comes_back_as_de_identification_moved_it(days: int, month: int) -> None:
    for true in (f"自2025年{month}月起，2019年手术", f"2025-{month:02}: cough"):
        assert in_words(redact(true, shift_days=-days).text, days) == true


@pytest.mark.requirement("DX-GW-20")
def test_what_is_said_has_true_dates_and_what_is_cited_stays(setting: Any) -> None:
    bundle = setting.sample_report("en")
    report = bundle["entry"][0]["resource"]
    report["conclusion"] += "\nsince 2026-10-11"
    restored = restore(bundle, identity(setting, bundle))["entry"][0]["resource"]
    assert restored["conclusion"].endswith("since 2026-10-22")
