"""CSV files of results: a declared header, each patient a case, each row used or named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import submission
from services.ingest.csv_results import convert, rows
from services.ingest.hl7v2.convert import Origin
from services.ingest.hl7v2.site import Site
from services.ingest.limits import Defaults
from services.ingest.results import Results
from services.kernel import fhir
from services.kernel.errors import InvalidInput
from tests.ingest.oru import NOW, names

ENGLISH = (
    "patient id,name,code,code system,value,unit,low,high,specimen,time,flag,sex,birth date\n"
    "MRN1,Potassium,2823-3,LN,6.80,mmol/L,3.5,5.3,serum,2026-11-26 08:15,HH,F,1970-01-02\n"
    "MRN1,HBsAg,,,negative,,,,,2026/1/5 8:05,,,\n"
)
CHINESE = (
    "病历号,姓名,性别,项目名称,结果,单位,参考范围,提示,采样时间\n"
    "MRN2,李雷,男,钾,＜３.０,mmol/L,3.5-5.3,↓,20261126081500\n"
)


def convert_all(content: str | bytes, site: Site | None = None) -> list[Results]:
    sent = content if isinstance(content, bytes) else content.encode()
    origin = Origin(site or Site(), names, NOW, "")
    file = rows.read(sent)
    return [convert.results(sent, file, each, origin) for each in file.patients]


def observations(made: Results) -> list[dict[str, Any]]:
    entries = [each["resource"] for each in json.loads(made.bundle)["entry"]]
    assert all(fhir.problems(each) == [] for each in entries)
    return [each for each in entries if each["resourceType"] == "Observation"]


def why(content: str | bytes) -> str:
    with pytest.raises(InvalidInput) as error:
        convert_all(content)
    return error.value.reason


@pytest.mark.requirement("DX-HL7-07")
def test_rows_become_results() -> None:
    (made,) = convert_all(ENGLISH)
    potassium, antigen = observations(made)
    assert b'"value":6.80' in made.bundle
    assert potassium["valueQuantity"] == {"value": 6.8, "unit": "mmol/L"}
    assert potassium["code"]["coding"][0]["system"] == "http://loinc.org"
    assert potassium["referenceRange"][0]["high"]["value"] == 5.3
    assert potassium["interpretation"][0]["coding"][0]["code"] == "HH"
    assert potassium["effectiveDateTime"] == "2026-11-26T08:15:00+08:00"
    assert antigen["valueString"] == "negative"
    assert antigen["effectiveDateTime"] == "2026-01-05T08:05:00+08:00"
    taken = submission.read(made.bundle, Defaults(recipient="a|b"), made)
    assert taken.person == ("identifier", "urn:dxmesh:csv:patient", "MRN1")
    assert made.original == ENGLISH.encode()


@pytest.mark.requirement("DX-HL7-07")
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_chinese_headers_and_figures_are_read(codec: str, delimiter: str) -> None:
    (made,) = convert_all(CHINESE.replace(",", delimiter).encode(codec))
    (result,) = observations(made)
    assert result["valueQuantity"] == {"value": 3.0, "comparator": "<", "unit": "mmol/L"}
    assert result["code"] == {"text": "钾"}
    assert result["referenceRange"][0]["low"]["value"] == 3.5
    assert result["interpretation"][0]["coding"][0]["code"] == "L"
    patient = json.loads(made.bundle)["entry"][0]["resource"]
    assert patient["name"] == [{"text": "李雷"}] and patient["gender"] == "male"


@pytest.mark.requirement("DX-HL7-07")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "NO_HEADER"),
        ("李雷,42,男\n", "NO_HEADER"),
        ("patient id,name,value,colour\n", "UNKNOWN_COLUMN"),
        ("patient id,value,unit\n", "COLUMN_MISSING"),
        ("name,value\n", "COLUMN_MISSING"),
        ("patient id,name,value,result\n", "COLUMN_TWICE"),
        ("patient id,name,value\n1,,\n", "NO_RESULTS"),
        ("patient id,name,value,sex\n1,K,4,F\n1,Na,140,M\n", "PATIENT_CONFLICT"),
        (b"patient id,name,value\n1,\xff\xff\xff,4\n", "CHARSET_NOT_READ"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: str | bytes, reason: str) -> None:
    assert why(content) == reason


@pytest.mark.requirement("DX-HL7-07")
def test_unknown_columns_are_named_but_never_a_first_row_of_data() -> None:
    with pytest.raises(InvalidInput) as error:
        convert_all("patient id,name,value,colour\n")
    assert "colour" in error.value.violations[0].problem
    with pytest.raises(InvalidInput) as error:
        convert_all("李雷,42,男\n")
    assert "李雷" not in f"{error.value.message}{error.value.violations}"


@pytest.mark.requirement("DX-HL7-07")
def test_each_row_that_is_not_used_as_it_came_is_named_by_its_number() -> None:
    content = (
        "patient id,name,value,time,status,low,high\n"
        "1,K,4,yesterday,,,\n"
        ",K,4,,,,\n"
        "1,K,4,,,,,too,many\n"
        "1,,4,,,,\n"
        "1,Na,140,2030-01-01 00:00,?,9,3\n"
    )
    file = rows.read(content.encode())
    assert [(p.source, p.reason) for p in file.problems] == [
        ("row 3", "NO_PATIENT"),
        ("row 4", "ROW_NOT_READ"),
    ]
    (made,) = convert_all(content)
    assert [(p.source, p.reason) for p in made.problems] == [
        ("row 2", "TIME_NOT_READ"),
        ("row 5", "RESULT_WITHOUT_CODE"),
        ("row 6", "RESULT_STATUS"),
        ("row 6", "RESULT_IN_FUTURE"),
        ("row 6", "RANGE_NOT_READ"),
    ]
    assert len(observations(made)) == 2


@pytest.mark.requirement("DX-HL7-08")
def test_the_original_of_one_patient_holds_nothing_of_another() -> None:
    content = "patient id,name,value\nMRN1,K,4\nMRN2,Na,140\nMRN1,Cl,100\n"
    first, second = convert_all(content)
    assert first.original == b"patient id,name,value\r\nMRN1,K,4\r\nMRN1,Cl,100\r\n"
    assert b"MRN1" not in second.original
    laid_out = "value;patient id;name\n4;MRN1;K\n100;MRN1;Cl\n"
    assert convert_all(laid_out)[0].digest == first.digest, "the same rows, laid out otherwise"


@pytest.mark.requirement("DX-HL7-07")
@settings(max_examples=120, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    for sent in (content, b"patient id,name,value\n" + content, ENGLISH.encode() + content):
        try:
            convert_all(sent)
        except InvalidInput as error:
            assert error.reason
