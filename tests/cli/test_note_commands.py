"""`dxmesh notes read`: a note is read here, in its own encoding, and nothing else is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.anonymization import desk as documents
from services.cli import aside, note_commands
from services.cli.answers import REFUSED, USAGE, CliError
from services.nlp import desk as notes

pytestmark = pytest.mark.requirement("DX-NLP-14")


def test_note_is_read_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes("主诉：咳嗽3天。\n现病史：无发热，拟加用氨氯地平。".encode("gb18030"))
    done = CliRunner().invoke(note_commands.app, ["read", str(path), "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    said = {each["text"]: each["certainty"] for each in answer["mentions"]}
    assert said == {"咳嗽": "affirmed", "发热": "negated", "氨氯地平": "uncertain"}


def test_lines_for_a_person_hold_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mention = {"text": "cough", "kind": "problem", "certainty": "negated", "section": "plan"}
    flags = dict.fromkeys(note_commands.FLAGS, False) | {"resolved": True}
    section = {"section": "plan", "heading": "P", "within": False, "language": "en"}
    mild = {"kind": "severity", "text": "mild"}
    stated = {"text": "BP 120/80", "en": "Blood pressure", "loinc": "85354-9", "time": "today"}
    stated |= {"other_person": False, "historical": True, "section": "plan", "start": 6, "end": 15}
    answer = {
        "sections": [section | {"start": 0, "end": 5}],
        "mentions": [mention | flags | {"start": 0, "end": 5, "dose": "", "details": [mild]}],
        "procedures": [],
        "measurements": [stated],
        "summary": [{"text": "Nothing planned."}],
    }
    monkeypatch.setattr(aside, "ask", lambda *_, **__: answer)
    path = tmp_path / "note.txt"
    path.write_text("cough", "utf-8")
    note_commands.read(path, "", as_json=False)
    shown = capsys.readouterr().out
    assert "negated, resolved, severity: mild" in " ".join(shown.split())
    assert "BP 120/80" in shown
    assert "historical, today" in shown
    assert "Nothing planned." in shown


def test_file_that_cannot_be_read_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(CliError) as missing:
        note_commands.read(tmp_path / "none.txt", "", as_json=True)
    assert missing.value.code == USAGE
    odd = tmp_path / "odd.bin"
    odd.write_bytes(b"\xff\xff\xff\x80")
    with pytest.raises(CliError) as unreadable:
        note_commands.read(odd, "", as_json=True)
    assert "save it as UTF-8" in unreadable.value.message


def test_note_that_is_refused_exits_as_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(" \n", "utf-8")
    with pytest.raises(CliError) as refused:
        note_commands.read(path, "", as_json=True)
    assert refused.value.code == REFUSED


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("note.rtf", rb"{\rtf1\ansi Assessment: gout.}"),
        ("unnamed.txt", rb"{\rtf1\ansi Assessment: gout.}"),
        ("note.html", b"<p>Assessment: <b>gout</b>.</p>"),
        (
            "note.xml",
            b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component>'
            b"<section><title>Assessment</title><text>gout.</text></section>"
            b"</component></structuredBody></component></ClinicalDocument>",
        ),
    ],
)
def test_documents_are_read_as_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    asked: list[str] = []

    def ask(module: str, request: dict[str, object], **_: object) -> dict[str, object]:
        asked.append(module)
        if module == note_commands.DOCUMENTS:
            return documents.answer(request)
        return notes.answer(request)

    monkeypatch.setattr(aside, "ask", ask)
    (tmp_path / name).write_bytes(content)
    done = CliRunner().invoke(note_commands.app, ["read", str(tmp_path / name), "--json"])
    assert done.exit_code == 0, done.output
    assert [each["text"] for each in json.loads(done.stdout)["mentions"]] == ["gout"]
    assert asked == [note_commands.DOCUMENTS, note_commands.DESK]


def test_a_document_that_is_none_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "note.rtf"
    empty.write_bytes(rb"{\rtf1}")
    with pytest.raises(CliError) as refused:
        note_commands.read(empty, "", as_json=True)
    assert refused.value.code == USAGE
