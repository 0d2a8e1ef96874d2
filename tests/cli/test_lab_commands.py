"""`dxmesh labs interpret` and `unmapped`: a file in, results or rows to fill in out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import aside, lab_commands
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

    def ask(_: str, request: dict[str, object], **__: object) -> dict[str, object]:
        return desk.answer(json.loads(json.dumps(request)))

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
