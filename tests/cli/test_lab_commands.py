"""`dxmesh labs interpret` and `unmapped`: a file in, results or rows to fill in out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import aside, lab_commands
from services.cli.answers import CliError
from services.ingest import desk as receiving
from services.kernel.errors import MeshError
from services.labs import desk
from tests.cli.test_commands import run

pytestmark = pytest.mark.requirement("DX-LDU-08")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    names = (("血钾", 6.8), ("新项目", 1))
    found = [
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": name},
            "valueQuantity": {"value": value, "unit": "mmol/L"},
        }
        for name, value in names
    ]
    path.write_text(json.dumps(found), "utf-8")
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Answer in this process: the process of its own is run once, below."""

    def ask(module: str, request: dict[str, object], **_: object) -> dict[str, object]:
        own = receiving if module == "services.ingest.desk" else desk
        try:
            return own.answer(json.loads(json.dumps(request)))
        except MeshError as error:
            raise CliError(error.message, 2) from error

    monkeypatch.setattr(aside, "ask", ask)
    return CliRunner()


def test_results_are_interpreted_as_a_process_of_their_own(file: Path) -> None:
    done = run("labs", "interpret", str(file), "--age", "40", "--sex", "male", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["results"]
    assert (first["flag"], first["loinc_code"]) == ("FLAG_CRITICAL_HIGH", "2823-3")
    assert second["not_interpreted"]["reason"] == "UNKNOWN_CODE"


def test_a_reader_sees_flag_range_and_reason(here: CliRunner, file: Path) -> None:
    shown = here.invoke(
        lab_commands.app, ["interpret", str(file), "--age", "40", "--language", "zh"]
    )
    assert shown.exit_code == 0, shown.output
    assert "HH 钾: 6.8 mmol/L" in shown.output and "UNKNOWN_CODE" in shown.output


def test_the_tenants_tables_are_read(
    here: CliRunner, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DX_LABS_MAPPINGS_DIR", str(tmp_path))
    heads = "system\tcode\tname\tspecimen\tunit\tloinc\tanalyte\n"
    (tmp_path / "north.tsv").write_text(heads + "\t\t新项目\t\t\t\tna\n", "utf-8")
    lacking = here.invoke(lab_commands.app, ["unmapped", str(file)])
    assert [line.split("\t")[2] for line in lacking.output.splitlines()] == ["name", "新项目"]
    filled = here.invoke(lab_commands.app, ["unmapped", str(file), "--tenant", "north"])
    assert len(filled.output.splitlines()) == 1
    assert here.invoke(lab_commands.app, ["unmapped", str(file), "--tenant", "../x"]).exit_code


HL7 = "\r".join(
    (
        r"MSH|^~\&|LIS|HOSP|DX|DX|20261125080000+0800||ORU^R01^ORU_R01|C1|P|2.5.1"
        "|||||CHN|UNICODE UTF-8",
        "PID|1||P1^^^HOSP^MR||演示^患者||19640101|M",
        "OBR|1|||BIO^生化|||20261125070000+0800||||||||SER^血清^HL70487|||||||||F",
        "OBX|1|NM|K^血钾^L||6.8|mmol/L|3.5-5.3|HH|||F|||20261125070000+0800",
        "OBX|2|SN|TNI^高敏肌钙蛋白I^L||>^50000|ng/L|0-26||||F|||20261125070000+0800",
        "OBX|3|NM|GLU^葡萄糖^L||5.8|mmol/L|||||F|||20261125070000+0800",
        "SPM|1|||SER^血清^HL70487",
    )
)


def test_hl7_messages_are_read_with_their_specimen(here: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "a.hl7"
    path.write_text(HL7, "utf-8")
    shown = here.invoke(lab_commands.app, ["interpret", str(path), "--json"])
    assert shown.exit_code == 0, shown.output
    results = json.loads(shown.stdout[shown.stdout.index("{") :])["results"]
    assert [(r["analyte_id"], r.get("flag", "")) for r in results] == [
        ("k", "FLAG_CRITICAL_HIGH"),
        ("hs-troponin-i", "FLAG_CRITICAL_HIGH"),
        ("glucose", "FLAG_NORMAL"),
    ]
    assert results[1]["comparator"] == ">" and results[2]["specimen"] == "血清"


def test_csv_is_read_a_patient_at_a_time(here: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    rows = ["patient_id,name,value,unit,time"]
    rows += [f"P{n},血钾,{6 + n},mmol/L,2026-11-25 08:00" for n in (1, 2)]
    path.write_text("\n".join(rows), "utf-8")
    shown = here.invoke(lab_commands.app, ["interpret", str(path)])
    assert shown.exit_code == 0 and shown.output.count("HH Potassium") == 2
    path.write_text("nothing", "utf-8")
    assert here.invoke(lab_commands.app, ["interpret", str(path)]).exit_code


def test_a_range_of_one_end_is_not_read_as_a_negative_number(
    here: CliRunner, tmp_path: Path
) -> None:
    path = tmp_path / "c.csv"
    path.write_text("patient_id,name,value,unit,range\nP1,降钙素原,12.5,ng/mL,<0.05", "utf-8")
    shown = here.invoke(lab_commands.app, ["interpret", str(path)])
    assert "[≤ 0.05 ng/mL]" in shown.output
