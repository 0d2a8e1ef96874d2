"""A whole ORU^R01 as a submission: patient, orders, reports, specimens, what is not taken over."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from services.ingest import submission
from services.ingest.hl7v2 import senders
from services.ingest.hl7v2.codes import TABLES
from services.ingest.hl7v2.site import Site
from services.ingest.limits import Defaults
from services.kernel import fhir
from services.kernel.settings import BadSettings
from tests.ingest.oru import OBR, WBC, msh, names, oru, read, reasons, refused, resources

OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"
MAPS = OFFICIAL / "mappings" / "codesystems"
with_official = pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason="the official v2-to-FHIR tables are not beside the repository"
)
DEFAULTS = Defaults(recipient="urn:x|y")
SPM = "SPM|1|S1&LIS^F1&LIS||BLD^Whole blood^HL70487|||||||||||||20261126083000|20261126084000||Y"


@pytest.mark.requirement("DX-HL7-03")
def test_the_submission_is_valid_and_about_one_patient() -> None:
    made = read(
        oru(WBC, "NTE|1||note", SPM, "PV1|1|I|ICU^3^12^H||||D1^Wang^Wu||||||||||||V9^^^HIS")
    )
    bundle = json.loads(made.bundle)
    for entry in bundle["entry"]:
        assert fhir.problems(entry["resource"]) == []
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert sorted(kinds) == [
        *("DiagnosticReport", "Encounter", "Observation", "Patient"),
        *("Provenance", "ServiceRequest", "Specimen"),
    ]
    taken = submission.read(made.bundle, DEFAULTS, made)
    assert taken.person == ("identifier", "urn:dxmesh:hl7v2:HIS", "MRN0042917")
    keys = submission.keys(taken, names)
    assert keys.subject == names("subject", "identifier", "urn:dxmesh:hl7v2:HIS", "MRN0042917")


@pytest.mark.requirement("DX-HL7-03")
def test_the_parts_refer_to_each_other() -> None:
    sent = oru(WBC, SPM)
    (report,) = resources(sent, "DiagnosticReport")
    (result,) = resources(sent, "Observation")
    (order,) = resources(sent, "ServiceRequest")
    (specimen,) = resources(sent, "Specimen")
    assert report["result"] == [{"reference": f"Observation/{result['id']}"}]
    assert (
        report["basedOn"] == result["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    )
    assert result["specimen"] == {"reference": f"Specimen/{specimen['id']}"}
    assert specimen["collection"]["collectedDateTime"] == "2026-11-26T08:30:00+08:00"
    assert [each["value"] for each in order["identifier"]] == ["P1", "F1"]
    assert (report["status"], order["status"]) == ("final", "completed")
    assert report["issued"] == "2026-11-26T09:30:00+08:00"


@pytest.mark.requirement("DX-HL7-03")
def test_the_most_pressing_order_is_the_cases() -> None:
    stat = OBR.replace("OBR|1|P1", "OBR|2|P2").replace("血常规^L||", "血常规^L|S|")
    sent = oru(WBC, stat, WBC)
    assert read(sent)
    first = json.loads(read(sent).bundle)["entry"][1]["resource"]
    assert first["priority"] == "stat" and first["identifier"][0]["value"] == "P2"
    assert len(resources(sent, "DiagnosticReport")) == 2


@pytest.mark.requirement("DX-HL7-03")
def test_the_patient_is_known_by_the_senders_own_systems() -> None:
    pid = (
        "PID|1||42^^^HIS~110101^^^GA&1.2.156&ISO^NI||Li^Lei^^^^^L~Lee||19700102|F|Leo||"
        "1 Road^^Beijing||010-1|||||ACC7"
    )
    site = Site(authorities={"HIS": "urn:hospital:mrn"}, identifier_system="urn:hospital:any")
    (patient,) = resources(oru(pid=pid), "Patient", site)
    known = {each["value"]: (each["system"], each.get("use")) for each in patient["identifier"]}
    assert known["42"] == ("urn:hospital:mrn", None)
    assert known["110101"] == ("urn:oid:1.2.156", None)
    assert known["ACC7"] == ("urn:hospital:any", "temp"), "an account is not who somebody is"
    taken = submission.read(read(oru(pid=pid), site).bundle, DEFAULTS, read(oru(pid=pid), site))
    assert taken.person == ("identifier", "urn:hospital:mrn", "42")
    assert [each.get("use") for each in patient["name"]] == ["official", None, None]
    assert patient["gender"] == "female" and patient["telecom"][0]["value"] == "010-1"


@pytest.mark.requirement("DX-HL7-03")
def test_what_is_not_taken_over_is_listed_once_by_place() -> None:
    sent = oru(f"{WBC}|||||||||||seen", f"{WBC}|||||||||||seen", "ZXT|1|x", "DG1|1||A01")
    places = [each.source for each in read(sent).problems]
    assert "OBX[1]-25 and 1 more" in places
    assert {"ZXT[1]", "DG1[1]"} <= set(places)
    assert all("seen" not in str(each) for each in read(sent).problems)


@pytest.mark.requirement("DX-HL7-08")
def test_the_original_is_named_by_its_hash() -> None:
    (provenance,) = resources(oru(), "Provenance")
    (source,) = provenance["entity"]
    assert source["what"]["identifier"]["value"] == hashlib.sha256(oru().encode()).hexdigest()


@pytest.mark.requirement("DX-HL7-05")
def test_the_time_of_sending_alone_may_differ() -> None:
    later = oru(head=msh(f7="20261127"))
    assert read(oru()).digest == read(later).digest
    assert read(oru()).digest != read(oru(WBC.replace("12.50", "12.5"))).digest


@pytest.mark.requirement("DX-HL7-03")
def test_too_many_results_are_refused_before_the_work() -> None:
    assert refused(oru(*[WBC] * 30), entries_max=20) == "TOO_MANY_RESULTS"
    thousand = read(oru(*[WBC] * 1000))
    assert thousand.bundle.count(b'"resourceType":"Observation"') == 1000


@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("pid", "reason"),
    [("PID|1||1^^^HIS||X||yesterday", "BIRTH_DATE_NOT_READ"), ("PID|1||1||X|||Q", "SEX_NOT_READ")],
)
def test_what_of_a_patient_cannot_be_read_is_left_out_and_listed(pid: str, reason: str) -> None:
    assert reason in reasons(oru(pid=pid))


@with_official
@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("sex", "AdministrativeSex"),
        ("name_use", "NameType"),
        ("result_status", "ObservationResultStatusCodesInterpretation"),
        ("report_status", "ResultStatus[Non-Queries]"),
        ("order_control", "OrderControlCode[ServiceRequest.status]"),
        ("order_status", "OrderStatus"),
        ("priority", "ExtendedPriorityCodes"),
        ("class", "PatientClass[EncounterClass]"),
        ("encounter_status", "PatientClass[EncounterStatus]"),
        ("interpretation", "InterpretationCodes"),
    ],
)
def test_every_code_that_the_official_maps_give_is_ours(table: str, file: str) -> None:
    """What a map leaves open may be filled in; what it says holds."""
    path = MAPS / f"HL7 Concept Map_ {file} - Sheet1.csv"
    for row in list(csv.reader(path.open(encoding="utf-8-sig")))[2:]:
        code, system, made = row[0].strip(), row[2], row[6].strip()
        is_code = made and " " not in made and "inactive" not in str(row)
        if not code or not system or not is_code or "v2-0004" in str(row):
            continue
        assert TABLES[table].get(code) == made, (table, code)


@with_official
@pytest.mark.requirement("DX-HL7-03")
@pytest.mark.parametrize(
    ("name", "results"), [("LAB-ORU-1", 10), ("LRI_2.0-NG_CBC_Typ_Message", 28)]
)
def test_messages_of_others_are_read(name: str, results: int) -> None:
    content = (OFFICIAL / "messages" / f"{name}.hl7").read_bytes()
    made = read(content)
    assert made.bundle.count(b'"resourceType":"Observation"') == results
    submission.read(made.bundle, DEFAULTS, made)


@pytest.mark.requirement("DX-HL7-01")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [", "no TOML"),
        ("", "names none"),
        ('[[sender]]\ntenant = "a"', "application"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\nport = 1', "unknown port"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\naddresses = ["x"]', "sender 1"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\ncharset = "klingon"', "charset"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\nutc_offset = "CST"', "utc_offset"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\nlanguage = "fr"', "language"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\ncodes = { L = 1 }', "codes"),
        ('[[sender]]\napplication = "A"\ntenant = "a"\n' * 2, "twice"),
    ],
)
def test_a_table_of_senders_that_cannot_be_used_stops_the_start(text: str, says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        senders.read(text)


@pytest.mark.requirement("DX-HL7-01")
def test_a_sender_of_one_facility_goes_before_one_of_any() -> None:
    known = senders.read(
        '[[sender]]\napplication = "LIS"\ntenant = "a"\naddresses = ["10.0.0.0/8"]\n'
        '[[sender]]\napplication = "LIS"\nfacility = "N"\ntenant = "b"\n'
    )
    anywhere, north = known.find("LIS", "S"), known.find("LIS", "N")
    assert anywhere and north and (anywhere.tenant, north.tenant) == ("a", "b")
    assert anywhere.may_call_from("::ffff:10.1.1.1") and not anywhere.may_call_from("11.1.1.1")
    assert known.find("HIS", "N") is None and known.is_anyone("11.1.1.1")
