"""What lies under the given paths becomes one Bundle: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from services.cli import bundle, content
from services.cli.answers import CliError
from services.cli.mesh import ROOT

SAMPLES = ROOT / "samples"
FIRST = SAMPLES / "ct" / "slice-01.dcm"


def built(*paths: Path, **options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bundle.build(content.read(paths), **options))
    return found


def of_type(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == kind]


@pytest.mark.requirement("DX-CLI-01")
def test_the_sample_folder_becomes_one_submission() -> None:
    made = built(SAMPLES)
    kinds = {kind: len(of_type(made, kind)) for kind in ("Patient", "Consent", "ServiceRequest")}
    assert kinds == {"Patient": 1, "Consent": 1, "ServiceRequest": 1}
    assert len(of_type(made, "Observation")) == 20
    assert len(of_type(made, "DocumentReference")) == 2
    (study,) = of_type(made, "ImagingStudy")
    assert study["numberOfInstances"] == 32
    assert study["subject"]["reference"] == "Patient/demo-patient"
    assert all(e["request"]["method"] == "POST" for e in made["entry"])


@pytest.mark.requirement("DX-CLI-01")
def test_a_file_is_known_by_what_is_in_it_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(FIRST.read_bytes())
    with zipfile.ZipFile(tmp_path / "images", "w") as archive:
        archive.write(SAMPLES / "ct" / "slice-02.dcm", "a/b.dcm")
    (tmp_path / "readme.md").write_text("not for sending")
    (tmp_path / ".hidden.txt").write_text("nor this")
    found = content.read([tmp_path])
    assert [path.name for path in found.uploads] == ["images", "scan"]
    assert len({instance.uid for instance in found.instances}) == 2
    assert [path.name for path in found.skipped] == ["readme.md"]
    assert not found.notes


@pytest.mark.requirement("DX-CLI-02")
def test_the_same_content_has_the_same_identifier_and_other_content_another(
    tmp_path: Path,
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Chief complaint: cough.")
    first = built(SAMPLES / "patient.json", note)["identifier"]["value"]
    assert built(SAMPLES / "patient.json", note)["identifier"]["value"] == first
    assert built(SAMPLES / "patient.json", note, language="zh")["identifier"]["value"] != first
    assert built(SAMPLES / "patient.json", note, attempt="2")["identifier"]["value"] != first
    note.write_text("Chief complaint: fever.")
    assert built(SAMPLES / "patient.json", note)["identifier"]["value"] != first


@pytest.mark.requirement("DX-CLI-01")
def test_a_note_is_sent_byte_for_byte_and_a_decimal_digit_for_digit(tmp_path: Path) -> None:
    words = "主诉：咳嗽3周。".encode("gb18030")
    (tmp_path / "note.txt").write_bytes(words)
    (tmp_path / "k.json").write_text('{"resourceType": "Observation", "valueDecimal": 6.80}')
    raw = bundle.build(content.read([tmp_path]))
    assert b'"valueDecimal":6.80' in raw
    (note,) = of_type(json.loads(raw), "DocumentReference")
    assert base64.b64decode(note["content"][0]["attachment"]["data"]) == words


@pytest.mark.requirement("DX-CLI-01")
def test_the_priority_asked_for_stands_in_the_order() -> None:
    (order,) = of_type(built(SAMPLES / "service_request.json", priority="stat"), "ServiceRequest")
    assert order["priority"] == "stat"


@pytest.mark.requirement("DX-CLI-01")
@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '{"a": 1, "a": 2}'])
def test_json_that_is_no_resource_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(CliError, match=r"odd\.json"):
        content.read([tmp_path])


@pytest.mark.requirement("DX-CLI-01")
def test_a_broken_image_is_still_sent_for_ingest_to_name(tmp_path: Path) -> None:
    (tmp_path / "cut.dcm").write_bytes(FIRST.read_bytes()[:200])
    (tmp_path / "not.dcm").write_bytes(b"nothing of the kind")
    found = content.read([tmp_path])
    assert len(found.uploads) == 2 and not found.instances


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="nowhere"):
        content.read([tmp_path / "nowhere"])
