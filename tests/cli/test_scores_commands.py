"""`dxmesh scores …`: words of the command line in, scores or a precise refusal out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import aside, score_commands
from services.cli.answers import CliError
from services.kernel.errors import MeshError
from services.labs.scores import desk
from tests.cli.test_commands import run

pytestmark = pytest.mark.requirement("DX-LAB-24")
LIVER = ("age=62", "ast=71 U/L", "alt=62@2026-11-20", "plt=132")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Answer in this process: the process of its own is run once, below."""

    def ask(_: str, request: dict[str, object], **__: str) -> dict[str, object]:
        try:
            return desk.answer(json.loads(json.dumps(request)))
        except MeshError as error:
            raise CliError(error.message, 2) from error

    monkeypatch.setattr(aside, "ask", ask)
    return CliRunner()


def test_scores_run_as_a_process_of_their_own() -> None:
    done = run("scores", "compute", "fib-4", *LIVER, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["scores"]
    assert (found["value"], found["inputs"][2]["time"]) == ("4.24", "2026-11-20")


def test_list_and_show_in_both_languages(here: CliRunner) -> None:
    rows = here.invoke(score_commands.app, ["list"]).stdout.splitlines()
    assert len(rows) == 1 + len(desk.answer({"do": "list"})["scores"])
    shown = here.invoke(score_commands.app, ["show", "curb-65", "--language", "zh"]).stdout
    assert "意识模糊" in shown and "https://doi.org/10.1136/thorax.58.5.377" in shown
    answer = json.loads(here.invoke(score_commands.app, ["show", "curb-65", "--json"]).stdout)
    assert [need["input"] for need in answer["needs"]][:2] == ["confusion", "urea"]


def test_what_is_missing_is_named_and_the_exit_code_says_so(here: CliRunner) -> None:
    done = here.invoke(score_commands.app, ["compute", "fib-4", *LIVER[:3]])
    assert done.exit_code == 1
    assert "plt: no usable result of Platelets" in done.stdout
    for words in ([], ["no-such-score"]):
        refused = here.invoke(score_commands.app, ["compute", *words])
        assert isinstance(refused.exception, CliError)


def observation(loinc: str, number: float, unit: str) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": number, "unit": unit},
    }


@pytest.mark.parametrize("shape", ["bundle", "list", "part"])
def test_files_of_several_shapes_are_read(here: CliRunner, tmp_path: Path, shape: str) -> None:
    salts = [observation("2951-2", 140, "mmol/L"), observation("2075-0", 100, "mmol/L")]
    salts.append(observation("1963-8", 14, "mmol/L"))
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in salts]}
    content = {"bundle": bundle, "list": salts, "part": {"observations": salts}}[shape]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    done = here.invoke(score_commands.app, ["compute", "anion-gap", "--file", str(path)])
    assert done.exit_code == 0 and "= 26.0 mmol/L" in done.stdout
    path.write_text("{}")
    refused = here.invoke(score_commands.app, ["compute", "--file", str(path)])
    assert isinstance(refused.exception, CliError)


def test_what_cannot_run_here_says_what_to_install() -> None:
    with pytest.raises(CliError) as refused:
        aside.ask("services.no_such_module", {}, extra="labs")
    assert "dxmesh[labs]" in str(refused.value)
