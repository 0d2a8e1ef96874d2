"""A laboratory system sends a result over MLLP; the physician gets a report of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from hl7 import parse
from hl7.mllp import open_hl7_connection

from services.cli import accounts
from services.cli.mesh import ROOT
from tests.flow.running import Running

MRN = ("urn:dxmesh:demo:laboratory", "LAB-0001")
MESSAGE = "\r".join(
    (
        "MSH|^~\\&|LIS|NORTH|DXMESH||20260305100000+0800||ORU^R01|FLOW-1|P|2.5.1||||||UNICODE",
        f"PID|1||{MRN[1]}^^^HIS^MR||检^验者||19700102|M",
        "OBR|1|P1|F1|CHEM^生化^L|S||20260305080000|||||||||||||||20260305093000|||F",
        "OBX|1|NM|2823-3^Potassium^LN||6.80|mmol/L^^UCUM|3.5-5.3|HH|||F|||20260305080500",
        "OBX|2|NM|2160-0^Creatinine^LN||84|umol/L^^UCUM|57-97|N|||F|||20260305080500",
        "OBX|3|NM|ALT^谷丙转氨酶^L||85|U/L|9-50|↑|||F|||20260305080500",
        "OBX|4|ED|X^Chart^L||^AP^PDF^Base64^QUJD||||||F",
        "",
    )
)


def store_consent(running: Running) -> None:
    """Store the patient's Consent, which names nobody but the number."""
    consent = json.loads((ROOT / "samples" / "consent.json").read_text())
    patient = {"identifier": {"system": MRN[0], "value": MRN[1]}}
    del consent["performer"]
    consent |= {"id": "consent-laboratory", "patient": patient}
    token = accounts.read(running.state.root).ehr_token
    answer = httpx.put(
        f"{running.mesh.url}/fhir/Consent/consent-laboratory",
        json=consent,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
        timeout=60,
    )
    assert answer.status_code == 201, answer.text


def send(running: Running) -> str:
    """Send the message; return MSA-1 and reasons of the answer."""

    async def once() -> str:
        reader, writer = await open_hl7_connection(
            "127.0.0.1", running.mesh.options.hl7_port, encoding="utf-8"
        )
        writer.writemessage(parse(MESSAGE))
        answer = await asyncio.wait_for(reader.readmessage(), 60)
        writer.close()
        return str(answer)

    return asyncio.run(once())


@pytest.mark.requirement("DX-HL7-01")
@pytest.mark.requirement("DX-HL7-06")
def test_a_message_over_mllp_becomes_a_report(running: Running, tmp_path: Path) -> None:
    refused = send(running)
    assert "MSA|AR|FLOW-1" in refused and "CONSENT_NO_CONSENT" in refused
    store_consent(running)
    accepted = send(running)
    assert "MSA|AA|FLOW-1" in accepted and "VALUE_TYPE_NOT_READ" in accepted
    file = tmp_path / "again.hl7"
    file.write_text(MESSAGE, newline="")
    task, new = running.ehr.submit_results(file, "application/hl7-v2")
    assert not new, "the same message, as a file"
    case_id = str(task["id"])
    case = running.wait_for(case_id)
    assert case["priority"] == "stat"
    report = running.report(case_id)
    by_code = {
        coding["code"]: each
        for each in running.observations(report)
        for coding in each.get("code", {}).get("coding", [])
    }
    potassium = by_code["2823-3"]
    assert potassium["valueQuantity"]["value"] == 6.8
    assert potassium["interpretation"][0]["coding"][0]["code"] == "HH"
    enzyme = by_code["1742-6"]  # it came by its Chinese name and a local code
    assert enzyme["interpretation"][0]["coding"][0]["code"] == "H"
    assert "VALUE_TYPE_NOT_READ" in json.dumps(report), "set aside, and said so"
    assert "VALUE_TYPE_NOT_READ" in json.dumps(running.ehr.get(f"/fhir/Task/{case_id}"))
    patient = running.ehr.get(f"/fhir/{report['subject']['reference']}")
    assert patient["identifier"][0] == patient["identifier"][0] | {
        "system": MRN[0],
        "value": MRN[1],
    }
    original = running.ehr.content(f"/fhir/Task/{case_id}/$original", "*/*")
    assert original.rstrip(b"\r") == MESSAGE.encode().rstrip(b"\r")
