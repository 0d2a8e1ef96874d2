"""A laboratory's own codes reach the analysis when the tenant's table lists them, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.anonymization import fhir_rules, local_codes, submission
from services.anonymization.fhir_rules import Rules
from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.ingest.hl7v2 import codes as hl7_codes
from services.ingest.hl7v2.site import Site as Sender
from services.kernel import fhir
from services.kernel.crypto import KeyedHash
from services.kernel.errors import InvalidInput
from services.labs import local_codes as meanings
from services.labs import panel, tables
from services.labs.findings import findings
from services.labs.interpret import Site
from tests.anonymization.zone import Mesh, send

OWN = hl7_codes.system("L", "", Sender())
"""System of a local code of a message of HL7 v2, as ingest names it."""
TABLE = f"""# codes of the laboratory
system\tcode\tname\tspecimen\tunit\tloinc\tanalyte
{OWN}\tX17\t\t\tU/L\t1742-6\t
{OWN}\tX18\t\t\t\t\tk
\tX19\t\t\t\t\tna
\t\t铁柱项目\t\t\t\tk
"""
LISTED = local_codes.pairs(TABLE)
UNLISTED = [
    {"system": OWN, "code": "X20"},
    {"system": OWN, "code": "x17"},
    {"system": "urn:other", "code": "X17"},
    {"system": "urn:other", "code": "X19"},
    {"system": OWN, "code": "X19"},
    {"code": "X17"},
    {"system": OWN, "code": "X17 Quillon"},
    {"system": [OWN], "code": "X17"},
    {"system": OWN, "code": {"X17": 1}},
]


def rules(known: KnownStrings = NOTHING, listed: local_codes.Pairs = LISTED) -> Rules:
    return Rules(known, -10, "S1", {}, listed=listed)


def coding(code: Any, made: Rules) -> Any:
    observation = {"resourceType": "Observation", "code": code}
    return fhir_rules.observation(observation, "lab-1", made).get("code", {}).get("coding", [])


def result(number: int, code: Any, value: float, unit: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": code,
        "valueQuantity": {"value": value, "unit": unit},
    }


@pytest.mark.requirement("DX-ID-32")
def test_a_listed_code_of_a_case_is_interpreted_under_its_analyte() -> None:
    observations = [
        result(1, {"coding": [{"system": OWN, "code": "X17", "display": "Quillon"}]}, 80, "U/L"),
        result(2, {"coding": [{"system": OWN, "code": "X18"}]}, 6.6, "mmol/L"),
        result(3, {"coding": [{"code": "X19"}]}, 140, "mmol/L"),
        result(4, {"coding": [{"system": OWN, "code": "X20"}], "text": "Quillon"}, 1, "mmol/L"),
    ]
    resources = [{"resourceType": "Patient", "id": "p"}, *observations]
    bundle = fhir.dump({"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]})
    read, pseudonyms = submission.read(bundle), Pseudonyms(KeyedHash(b"k" * 32), "s")
    person = {"sex": "male", "age_years": 40.0}
    site = Site(meanings.load(tables.parse(TABLE)))

    document, _ = submission.labs_part(read, NOTHING, pseudonyms, person, LISTED)
    assert b"Quillon" not in document and b"X20" not in document
    found = findings(panel.read(document), site=site).results
    assert [each.analyte_id for each in found[:3]] == ["alt", "k", "na"]
    assert found[3].not_interpreted.reason == "UNKNOWN_CODE"

    without, _ = submission.labs_part(read, NOTHING, pseudonyms, person)
    assert all(
        each.not_interpreted.reason for each in findings(panel.read(without), site=site).results
    )


@pytest.mark.requirement("DX-ID-32")
@pytest.mark.parametrize("unlisted", UNLISTED)
def test_a_code_that_is_not_listed_so_does_not_leave(unlisted: dict[str, Any]) -> None:
    assert coding({"coding": [unlisted]}, rules()) == []


@pytest.mark.requirement("DX-ID-32")
def test_a_listed_code_stays_in_a_result_and_a_component_alone() -> None:
    code = {"coding": [{"system": OWN, "code": "X17"}]}
    component = {"resourceType": "Observation", "component": [{"code": code}]}
    made = fhir_rules.observation(component, "lab-1", rules())
    assert made["component"][0]["code"] == code
    for element in ("valueCodeableConcept", "method", "bodySite"):
        other = {"resourceType": "Observation", element: code}
        assert "X17" not in str(fhir_rules.observation(other, "lab-1", rules()))
    mistaken = frozenset({(OWN, "0042917")})
    own_number = {"coding": [{"system": OWN, "code": "0042917"}]}
    known = KnownStrings(numbers=frozenset({"0042917"}))
    assert coding(own_number, rules(known, mistaken)) == [], "a number of the patient"


@pytest.mark.requirement("DX-ID-32")
def test_public_codes_stay_beside_it_once() -> None:
    public = {"system": "http://loinc.org", "code": "1742-6"}
    local = {"system": OWN, "code": "X17", "version": "Quillon", "userSelected": True}
    listed = LISTED | {("http://loinc.org", "1742-6")}
    found = coding({"coding": [local, public], "text": "谷丙转氨酶"}, rules(listed=listed))
    assert found == [public, {"system": OWN, "code": "X17"}]


words = st.sampled_from(["", OWN, "urn:other", "X17", "X18", "X19", "x17", "X17 "]) | st.text()
codings = st.fixed_dictionaries({}, optional={"system": words, "code": words, "display": words})


@pytest.mark.requirement("DX-ID-32")
@settings(max_examples=60)
@given(st.lists(codings, max_size=4))
def test_only_listed_pairs_pass(given_codings: list[dict[str, str]]) -> None:
    made = coding({"coding": given_codings}, rules())
    assert all((each.get("system", ""), each["code"]) in LISTED for each in made)
    assert all(each.keys() <= {"system", "code"} for each in made)
    came = [(each.get("system", ""), each.get("code")) for each in given_codings]
    kept = [(each.get("system", ""), each["code"]) for each in made]
    assert kept == [pair for pair in came if pair in LISTED]


@pytest.mark.requirement("DX-ID-32")
async def test_each_case_has_the_table_of_its_tenant(mesh: Mesh, bundle: Any) -> None:
    ours = result(1, {"coding": [{"system": OWN, "code": "X17"}]}, 80, "U/L")
    theirs = result(2, {"coding": [{"system": "urn:north", "code": "N5"}]}, 4, "mmol/L")
    mesh.worker._listed = {"demo": LISTED, "north": frozenset({("urn:north", "N5")})}
    await send(mesh, await mesh.receive(bundle("咳嗽。", [ours, theirs]), []))
    everything = await mesh.everything()
    assert '"X17"' in everything
    assert "urn:north" not in everything and '"N5"' not in everything


@pytest.mark.requirement("DX-ID-32")
def test_tables_are_read_by_tenant(tmp_path: Path) -> None:
    (tmp_path / "north.tsv").write_text(TABLE, "utf-8-sig")
    (tmp_path / "south.tsv").write_text("code\tsystem\nA\turn:s\n")
    (tmp_path / "notes.txt").write_text("nothing")
    assert local_codes.read(tmp_path) == {"north": LISTED, "south": {("urn:s", "A")}}
    assert {(OWN, "X17"), (OWN, "X18"), ("", "X19")} == LISTED
    assert local_codes.read(None) == {}


@pytest.mark.requirement("DX-ID-32")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("system\tname\nurn:x\tA\n", "column code"),
        ("", "column system"),
        (f"system\tcode\nurn:x\tA\nurn:x\t{'Q' * 65}\n", "row 2"),
        (f"system\tcode\n{'urn:' * 80}\tA\n", "row 1"),
        ("system\tcode\nurn:x\tQ\u200fQ\n", "row 1"),
        ("system\tcode\n" + "urn:x\tA\n" * (local_codes.ROWS_MAX + 1), "at most"),
    ],
)
def test_a_table_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "north.tsv").write_text(content, "utf-8")
    with pytest.raises(InvalidInput, match=told) as caught:
        local_codes.read(tmp_path)
    assert "north" in str(caught.value)
    assert "Q" not in json.dumps([str(caught.value), *map(str, caught.value.violations)])


@pytest.mark.requirement("DX-ID-32")
def test_a_folder_that_is_not_there_and_other_encodings_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not there"):
        local_codes.read(tmp_path / "missing")
    (tmp_path / "north.tsv").write_bytes("system\tcode\n院内\tA\n".encode("gb18030"))
    with pytest.raises(InvalidInput, match="UTF-8"):
        local_codes.read(tmp_path)
