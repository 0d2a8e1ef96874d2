"""`dxmesh submit FILE.hl7 FILE.csv`: files of results, each message or patient a case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from services.cli import report_view
from services.cli.answers import DONE, REFUSED, USAGE, CliError, err, out, put_json
from services.cli.client import Client

SUFFIXES = {".hl7": "application/hl7-v2", ".oru": "application/hl7-v2", ".csv": "text/csv"}
HL7V2 = "application/hl7-v2"
HEADERS = (b"MSH", b"FHS", b"BHS")
MARK = b"\xef\xbb\xbf"


def files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the files of results among the paths, each with its media type.

    Raises
    ------
    CliError
        Some are, others are not: results come with no Bundle.
    """
    kinds = [(path, _kind(path)) for path in paths]
    found = [(path, kind) for path, kind in kinds if kind]
    if found and len(found) < len(kinds):
        raise CliError("send HL7 and CSV files by themselves, without other content", USAGE)
    return found


def submit(client: Client, found: Sequence[tuple[Path, str]], follow: Any, *, as_json: bool) -> int:
    """Send files of results; print the case of each message or patient, or why it has none.

    `follow`: waits for a case's report and returns its Task; None: nobody waits.
    """
    told: list[dict[str, Any]] = []
    for path, kind in found:
        told += [{"file": path.name, **each} for each in _told(client.submit_results(path, kind))]
    for each in told:
        if follow and "case_id" in each:
            each["report"] = report_view.report_of(follow(each["case_id"]))
    if as_json:
        put_json(told)
    else:
        _show(told)
    return REFUSED if any("reason" in each for each in told) else DONE


def _show(told: Sequence[dict[str, Any]]) -> None:
    for each in told:
        if "case_id" not in each:
            err.print(Text(f"{each['file']}: {each['reason']}: {each['message']}", style="yellow"))
            continue
        before = "" if each["new"] else " (submitted before)"
        report = f", {each['report']}" if each.get("report") else ""
        out.print(Text(f"{each['file']}: case {each['case_id']}{before}{report}"))
        for note in each["notes"]:
            err.print(Text(f"  {note}", style="yellow"))


def _told(answer: tuple[dict[str, Any], bool]) -> list[dict[str, Any]]:
    """Return what became of each message of a file."""
    resource, new = answer
    if resource["resourceType"] == "Task":
        return [_case(resource, new)]
    found = []
    for entry in resource.get("entry", []):
        response = entry["response"]
        if "resource" in entry:
            found.append(_case(entry["resource"], response["status"] == "201"))
        for issue in response.get("outcome", {}).get("issue", []):
            if issue["severity"] == "error":
                found.append(_refusal(issue))
            else:
                err.print(Text(str(issue["details"]["text"]), style="yellow"))
    return found


def _case(task: dict[str, Any], new: bool) -> dict[str, Any]:
    notes = [
        f"{each.get('valueString', '')}: {each['type'].get('text', '')}"
        for each in task.get("output", [])
        if any(c.get("code") == "not-used" for c in each["type"].get("coding", []))
    ]
    return {"case_id": task["id"], "new": new, "notes": notes}


def _refusal(issue: dict[str, Any]) -> dict[str, Any]:
    coding = issue.get("details", {}).get("coding", [{}])
    return {"reason": coding[0].get("code", ""), "message": issue.get("diagnostics", "")}


def _kind(path: Path) -> str:
    if not path.is_file():
        return ""
    if kind := SUFFIXES.get(path.suffix.lower()):
        return kind
    with path.open("rb") as source:
        head = source.read(8).removeprefix(MARK)
    return HL7V2 if head.startswith(HEADERS) else ""
