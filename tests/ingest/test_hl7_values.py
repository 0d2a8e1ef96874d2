"""OBX as Observation: values of each type, ranges, flags, status, times, notes, corrections."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.hl7v2 import moments, values
from services.ingest.hl7v2.ranges import reference_range
from services.ingest.hl7v2.site import Site
from services.ingest.hl7v2.values import Number, number
from tests.ingest.oru import OBR, WBC, msh, observation, oru, read, reasons, resources

UCUM = "http://unitsofmeasure.org"
SPAN = {"low": {"value": 2, "unit": "g"}, "high": {"value": 5, "unit": "g"}}
LOCAL = {
    "coding": [{"system": "urn:dxmesh:hl7v2:codes:L", "code": "POS", "display": "阳性"}],
    "text": "阳性",
}
PUBLIC = {
    "coding": [
        {"system": "http://snomed.info/sct", "code": "260415000", "display": "not detected"}
    ],
    "text": "None seen",
}


def obx(kind: str, value: str, unit: str = "", rest: str = "|||||F") -> str:
    return f"OBX|1|{kind}|X^x^L||{value}|{unit}{rest}"


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        ("NM", "12.50", {"valueQuantity": {"value": 12.5, "unit": "g"}}),
        ("NM", "<0.01", {"valueQuantity": {"value": 0.01, "comparator": "<", "unit": "g"}}),
        ("NM", "+5.", {"valueQuantity": {"value": 5, "unit": "g"}}),
        ("NM", ".5", {"valueQuantity": {"value": 0.5, "unit": "g"}}),
        ("NM", "阴性", {"valueString": "阴性"}),
        ("SN", "^12", {"valueQuantity": {"value": 12, "unit": "g"}}),
        ("SN", ">=^12", {"valueQuantity": {"value": 12, "comparator": ">=", "unit": "g"}}),
        ("SN", "=^12", {"valueQuantity": {"value": 12, "unit": "g"}}),
        ("SN", "^2^-^5", {"valueRange": SPAN}),
        ("SN", "^1^+", {"valueString": "1 + g"}),
        ("SN", "<>^3", {"valueString": "<> 3 g"}),
        ("SN", "^x", {"valueString": "x g"}),
        ("NR", "2^5", {"valueRange": SPAN}),
        ("ST", "1:128", {"valueString": "1:128"}),
        ("TX", "line one~line two", {"valueString": "line one\nline two"}),
        ("FT", r"a\.br\b", {"valueString": "a\nb"}),
        ("CE", "POS^阳性^L", {"valueCodeableConcept": LOCAL}),
        ("CWE", "260415000^not detected^SCT^^^^^^None seen", {"valueCodeableConcept": PUBLIC}),
        ("DT", "20260301", {"valueDateTime": "2026-03-01"}),
        ("TS", "202603010815", {"valueDateTime": "2026-03-01T08:15:00+08:00"}),
        ("TM", "0815", {"valueTime": "08:15:00"}),
    ],
)  # fmt: skip
def test_values_become_what_the_official_table_says(
    kind: str, value: str, made: dict[str, Any]
) -> None:
    found = observation(obx(kind, value, "g"))
    assert {name: found[name] for name in found if name.startswith("value")} == made


@pytest.mark.requirement("DX-HL7-03")
def test_a_titre_is_a_ratio() -> None:
    found = observation(obx("SN", "^1^:^128"))["valueRatio"]
    assert found == {"numerator": {"value": 1}, "denominator": {"value": 128}}


@pytest.mark.requirement("DX-HL7-03")
def test_digits_are_kept() -> None:
    assert b'"value":12.50,' in read(oru()).bundle


@pytest.mark.requirement("DX-HL7-03")
def test_values_that_repeat_become_components() -> None:
    found = observation(obx("NM", "1~2"))
    assert [each["valueQuantity"]["value"] for each in found["component"]] == [1, 2]
    assert all(each["code"] == found["code"] for each in found["component"])


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize("kind", ["ED", "RP", "NA", "XPN", "ZZ"])
def test_a_type_that_is_not_read_is_listed_and_the_result_stays(kind: str) -> None:
    sent = oru(obx(kind, "^AP^PDF^Base64^QUJD" if kind == "ED" else "a^b"), WBC)
    (first, second) = resources(sent, "Observation")
    assert reasons(sent)["VALUE_TYPE_NOT_READ"] == "OBX[1]-5"
    assert second["valueQuantity"] and "valueQuantity" not in first
    if kind == "ED":
        assert first["dataAbsentReason"]["coding"][0]["code"] == "unsupported"
        assert "QUJD" not in str(first)


@pytest.mark.requirement("DX-HL7-03")
def test_units_are_the_ucum_ones_where_the_sender_has_them() -> None:
    assert observation(obx("NM", "1", "万/μL^^L^10*4/uL^^UCUM"))["valueQuantity"] == {
        "value": 1,
        "unit": "10*4/uL",
        "system": UCUM,
        "code": "10*4/uL",
    }
    raw = oru(obx("NM", "1", "10^9/L"))
    assert resources(raw, "Observation")[0]["valueQuantity"]["unit"] == "10^9/L"
    assert reasons(raw)["UNIT_WITH_SEPARATOR"] == "OBX[1]-6"
    assert observation(obx("NM", "1", r"10\S\9/L"))["valueQuantity"]["unit"] == "10^9/L"


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("3.5-9.5", 3.5, 9.5),
        ("3.5 -- 9.5", 3.5, 9.5),
        ("4.3 to 6.2", 4.3, 6.2),
        ("3.5～9.5", 3.5, 9.5),
        ("-2 - 3", -2, 3),
        ("<5", None, 5),
        ("≥60", 60, None),
        ("[1-2]", 1, 2),
        ("9-3", None, None),
        ("男 10-20; 女 8-15", None, None),
        ("阴性", None, None),
        ("1-2-3", None, None),
    ],
)
def test_ranges_are_limits_only_where_they_plainly_are(
    printed: str, low: float | None, high: float | None
) -> None:
    found = reference_range(printed, {})
    assert found["text"] == printed
    for name, limit in (("low", low), ("high", high)):
        assert (float(found[name]["value"]) if name in found else None) == limit


@pytest.mark.requirement("DX-HL7-03")
def test_flags_are_fhirs() -> None:
    def codes(flag: str) -> list[str]:
        found = observation(obx("NM", "1", rest=f"||{flag}|||F"))["interpretation"]
        return [c["code"] for each in found for c in each["coding"]]

    assert codes("HH") == ["HH"] and codes("↑") == ["H"] and codes("A~POS") == ["A", "POS"]


@pytest.mark.requirement("DX-HL7-04")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        *(("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("X", "cancelled")),
        *(("D", "entered-in-error"), ("W", "entered-in-error"), ("I", "registered")),
        *(("?", "unknown"), ("", "unknown")),
    ],
)
def test_the_status_is_that_of_table_0085(code: str, status: str) -> None:
    sent = oru(obx("NM", "1", rest=f"|||||{code}"))
    assert resources(sent, "Observation")[0]["status"] == status
    assert ("RESULT_STATUS" in reasons(sent)) == (status == "unknown")


@pytest.mark.requirement("DX-HL7-04")
def test_a_corrected_result_takes_the_place_of_the_one_before() -> None:
    first, other = WBC, WBC.replace("6690-2^Leukocytes", "718-7^Hb")
    corrected = WBC.replace("12.50", "2.50").replace("|||F|", "|||C|")
    sent = oru(first, other, corrected)
    found = resources(sent, "Observation")
    assert [(o["status"], o["valueQuantity"]["value"]) for o in found] == [
        ("final", 12.5),
        ("corrected", 2.5),
    ]
    assert reasons(sent)["RESULT_SUPERSEDED"] == "OBX[1]"


@pytest.mark.requirement("DX-HL7-04")
def test_a_cancelled_result_says_so_and_has_no_value() -> None:
    found = observation(obx("NM", "", rest="|||||X"))
    assert found["status"] == "cancelled" and "valueQuantity" not in found
    assert found["dataAbsentReason"]["coding"][0]["code"] == "X"


@pytest.mark.requirement("DX-HL7-03")
def test_notes_follow_their_result() -> None:
    sent = oru(WBC, "NTE|1|L|标本溶血~请复查", obx("ST", "x"), "NTE|1||other")
    first, second = resources(sent, "Observation")
    assert first["note"] == [{"text": "标本溶血\n请复查"}]
    assert second["note"] == [{"text": "other"}]


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("written", "zone", "made"),
    [
        ("2026", "+08:00", "2026"),
        ("202603", "+08:00", "2026-03"),
        ("20260301", "+08:00", "2026-03-01"),
        ("2026030108", "+08:00", "2026-03-01T08:00:00+08:00"),
        ("202603010815-0500", "+08:00", "2026-03-01T08:15:00-05:00"),
        ("20260301081530.25+0000", "", "2026-03-01T08:15:30.25+00:00"),
        ("20260301081530", "", ""),
        ("20260230", "+08:00", ""),
        ("20260301250000", "+08:00", ""),
        ("yesterday", "+08:00", ""),
        ("2026-03-01", "+08:00", "2026-03-01"),
    ],
)
def test_times_are_as_precise_as_they_came(written: str, zone: str, made: str) -> None:
    assert moments.moment(written, zone) == made


@pytest.mark.requirement("DX-HL7-03")
def test_the_zone_is_the_times_own_then_the_headers_then_the_senders() -> None:
    def when(time: str, sent_at: str) -> str:
        head = msh(f7=sent_at)
        line = WBC.replace("20261126090500", time)
        site = Site(utc_offset="+09:00")
        return str(resources(oru(line, head=head), "Observation", site)[0]["effectiveDateTime"])

    assert when("202603010815+0100", "20260301+0500").endswith("+01:00")
    assert when("202603010815", "202603010900+0500").endswith("+05:00")
    assert when("202603010815", "202603010900").endswith("+09:00")


@pytest.mark.requirement("DX-HL7-03")
def test_a_result_has_the_time_of_its_specimen() -> None:
    own = observation(WBC)["effectiveDateTime"]
    ordered = observation(WBC.removesuffix("20261126090500"))["effectiveDateTime"]
    bare = oru(WBC.removesuffix("20261126090500"), "SPM|1|S||BLD|||||||||||||20261126083000",
               obr=OBR.replace("20261126090000", ""))  # fmt: skip
    taken = resources(bare, "Observation")[0]["effectiveDateTime"]
    assert [own[11:16], ordered[11:16], taken[11:16]] == ["09:05", "09:00", "08:30"]


@pytest.mark.requirement("DX-HL7-04")
def test_a_result_of_the_future_is_kept_and_listed() -> None:
    sent = oru(WBC.replace("20261126090500", "20271126090500"))
    assert resources(sent, "Observation")[0]["effectiveDateTime"].startswith("2027-")
    assert reasons(sent)["RESULT_IN_FUTURE"] == "OBX[1]-14"
    assert "RESULT_IN_FUTURE" not in reasons(oru())


@pytest.mark.requirement("DX-HL7-03")
@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="0123456789.+-<> eE,", max_size=12))
def test_what_is_a_number_here_is_one_in_python_and_in_json(text: str) -> None:
    found = number(text)
    if found is not None:
        assert found == Decimal(text)
        json.loads(found.written)


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("text", "unit", "made"),
    [
        ("5.6", "mmol/L", {"valueQuantity": {"value": Number("5.6"), "unit": "mmol/L"}}),
        (
            "<0.01",
            "ng/mL",
            {"valueQuantity": {"value": Number("0.01"), "comparator": "<", "unit": "ng/mL"}},
        ),
        ("1.25E+05", "IU/mL", {"valueString": "1.25E+05 IU/mL"}),
        ("3-5", "/HP", {"valueString": "3-5 /HP"}),
        ("未检出", "IU/mL", {"valueString": "未检出"}),
        ("1:320", "", {"valueString": "1:320"}),
        ("5.6", "", {"valueString": "5.6"}),
        ("", "mmol/L", {}),
    ],
)
def test_a_text_beside_a_unit_keeps_it(text: str, unit: str, made: dict[str, Any]) -> None:
    assert values.of_text(text, {"unit": unit} if unit else {}) == made
