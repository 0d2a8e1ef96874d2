"""`dxmesh models …`: which models read images, and which of them took a study, and why not."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from rich.text import Text

from services.cli.answers import DONE, REFUSED, put_json, put_line, put_rows
from services.cli.client import Client

COLUMNS = ("model", "version", "answers", "what it does")


def list_models(client: Client, *, as_json: bool) -> int:
    """Print the models; `REFUSED` when one does not answer."""
    answer = client.get("/ops/models")
    missing = [one for one in answer["models"] if not one["ready"]]
    if as_json:
        put_json(answer)
    else:
        put_rows(COLUMNS, [_row(one) for one in answer["models"]])
    return REFUSED if missing else DONE


def _row(one: dict[str, Any]) -> list[str]:
    ready = "yes" if one["ready"] else "no"
    return [one["name"], one["version"], ready, str(one["card"].get("title", ""))]


def explain(client: Client, study: str, *, as_json: bool) -> int:
    """Print what was decided about each series; `REFUSED` when none was read."""
    answer = client.get(f"/ops/imaging/{quote(study, safe='')}")
    series = [s for c in answer["cases"] for part in c["parts"] for s in part["series"]]
    if as_json:
        put_json(answer)
    else:
        for case in answer["cases"]:
            _show(case)
    return DONE if any(one["read"] for one in series) else REFUSED


def _show(case: dict[str, Any]) -> None:
    put_line(Text(f"case {case['case_id']}", "bold"))
    for one in case["running"]:
        share = f"{one['done'] * 100:.0f}%"
        put_line(Text(f"  {one['part']}: {one['reading']} runs, {share} done", "yellow"))
    for part in case["parts"]:
        for number, series in enumerate(part["series"], start=1):
            put_line(Text(f"  {part['part']}, series {number}: {_what(series)}"))
            if not series["readings"]:
                put_line(Text(f"    not understood: {_why(series)}", "red"))
            for reading in series["readings"]:
                rule = f" (rule {reading['rule']})" if reading["rule"] else ""
                says = "read" if reading["read"] else f"not read: {_why(reading)}"
                style = "green" if reading["read"] else ""
                put_line(Text(f"    {reading['reading']:<12} {says}{rule}", style))


def _what(series: dict[str, Any]) -> str:
    """Return what a series is, in a few words."""
    parts = [series["modality"] or "modality not stated", f"{series['slices']} images"]
    if series["spacing_mm"]:
        parts.append(f"{series['spacing_mm']:g} mm apart")
    if series["pixel_mm"]:
        parts.append(f"pixels {series['pixel_mm']:.3g} mm")
    return ", ".join(parts)


def _why(told: dict[str, Any]) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in sorted(told["facts"].items()))
    return f"{told['reason']}: {told['message']}" + (f" [{facts}]" if facts else "")
