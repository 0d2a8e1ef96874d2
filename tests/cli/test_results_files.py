"""dxmesh submit FILE.hl7 FILE.csv: what each message or patient became, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli import results, send
from services.cli.answers import CliError
from services.cli.mesh import Mesh, Options
from services.cli.state import State

TASK = {
    "resourceType": "Task",
    "id": "case-1",
    "status": "accepted",
    "output": [
        {"type": {"coding": [{"code": "received"}]}},
        {
            "type": {"coding": [{"code": "not-used"}], "text": "the field is not taken over"},
            "valueString": "OBX[1]-13",
        },
    ],
}
REFUSED = {
    "severity": "error",
    "details": {"coding": [{"code": "NO_PATIENT"}], "text": "no PID"},
    "diagnostics": "message 2: no PID",
}


class FakeClient:
    """Answers with what it was made with."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str]] = []

    def submit_results(self, path: Path, media_type: str) -> Any:
        self.sent.append((path.name, media_type))
        return self.answers.pop(0)


@pytest.mark.requirement("DX-HL7-07")
def test_files_of_results_are_known_by_name_and_by_content(tmp_path: Path) -> None:
    kinds = {"a.hl7": b"MSH|", "b.txt": b"\xef\xbb\xbfMSH|^~", "c.csv": b"a,b", "d.txt": b"note"}
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in ("a.hl7", "b.txt", "c.csv")]
    assert [kind for _, kind in results.files(paths)] == [results.HL7V2, results.HL7V2, "text/csv"]
    assert results.files([tmp_path / "d.txt", tmp_path]) == []
    with pytest.raises(CliError, match="by themselves"):
        results.files([*paths, tmp_path / "d.txt"])


@pytest.mark.requirement("DX-HL7-07")
def test_each_message_is_told_with_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": TASK, "response": {"status": "201"}},
            {"response": {"status": "422", "outcome": {"issue": [REFUSED]}}},
        ],
    }
    client: Any = FakeClient((TASK, True), (bundle, False))
    found = [(tmp_path / "a.hl7", results.HL7V2), (tmp_path / "b.csv", "text/csv")]
    assert results.submit(client, found, None, as_json=True) != 0
    first, second, third = json.loads(capsys.readouterr().out)
    assert first["case_id"] == "case-1" and first["new"]
    assert first["notes"] == ["OBX[1]-13: the field is not taken over"]
    assert (second["file"], third["reason"]) == ("b.csv", "NO_PATIENT")
    assert client.sent == [("a.hl7", results.HL7V2), ("b.csv", "text/csv")]


@pytest.mark.requirement("DX-HL7-07")
def test_what_only_bundles_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(b"MSH|")
    options = send.Options(language="zh")
    with pytest.raises(CliError, match="language"):
        send.submit(FakeClient(), [tmp_path / "a.hl7"], options, wait_s=0, as_json=False)  # type: ignore[arg-type]


@pytest.mark.requirement("DX-HL7-01")
def test_up_tells_ingest_where_to_listen(tmp_path: Path) -> None:
    senders = tmp_path / "senders.toml"
    mesh = Mesh(State(tmp_path), Options(hl7_port=2576, hl7_senders=senders))
    values = mesh.environment("ingest")
    assert values["DX_INGEST_MLLP_PORT"] == "2576"
    assert values["DX_INGEST_MLLP_SENDERS_FILE"] == str(senders)
    assert "DX_INGEST_MLLP_PORT" not in mesh.environment("labs")
    assert "DX_INGEST_MLLP_PORT" not in Mesh(State(tmp_path), Options()).environment("ingest")
