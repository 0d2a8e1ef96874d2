"""A report as text for a terminal. Pure."""

from __future__ import annotations

from typing import Any

from rich.text import Text

REPORT = "urn:dxmesh:output"


def report_of(task: dict[str, Any]) -> str:
    """Return the reference of a Task's report; empty when there is none yet."""
    for output in task.get("output", []):
        reference: str = output.get("valueReference", {}).get("reference", "")
        if reference.startswith("DiagnosticReport/"):
            return reference
    return ""


def references(report: dict[str, Any]) -> list[str]:
    """Return what a report refers to here, in its order: results, then key images."""
    results = [each["reference"] for each in report.get("result", [])]
    return results + [each["link"]["reference"] for each in report.get("media", [])]


URGENT = ("危急值", "危急影像", "Critical", "Urgent")
"""How lines begin that must be read first."""


def lines(report: dict[str, Any]) -> list[Text]:
    """Return the conclusion, its headings and its critical line marked."""
    title = f"{report['code'].get('text', 'DiagnosticReport')} · {report['status']}"
    shown = [Text(title, style="bold"), Text()]
    for number, line in enumerate(report.get("conclusion", "").split("\n")):
        critical = line.startswith(URGENT)
        style = "italic" if number == 0 else "bold red" if critical else ""
        shown.append(Text(line, style=style))
    return shown
