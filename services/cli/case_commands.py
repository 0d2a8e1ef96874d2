"""`dxmesh status` and `dxmesh case …`: what an operator sees of cases. No identity in it."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from services.cli import progress_view
from services.cli.answers import DONE, LATE, REFUSED, CliError, out, progress, put_json
from services.cli.client import Client

LIST_COLUMNS = ("case_id", "status", "step", "priority", "received", "report_version", "reason")


def status(client: Client, *, as_json: bool) -> int:
    """Print health and queues; `REFUSED` when something is not healthy."""
    answer = client.get("/ops/status")
    if as_json:
        put_json(answer)
    else:
        shown = Table(box=None, pad_edge=False)
        shown.add_column("service")
        shown.add_column("health")
        shown.add_column("waiting", justify="right")
        for name, health in sorted(answer["services"].items()):
            waits = sum(n for queue, n in answer["queues"].items() if queue.startswith(f"{name}."))
            shown.add_row(name, Text(health, "green" if health == "SERVING" else "red"), str(waits))
        out.print(shown)
        oldest = answer["oldest_open_case_s"]
        out.print("no case is open" if oldest is None else f"oldest open case: {oldest:.0f} s")
    return DONE if answer["healthy"] else REFUSED


def list_cases(client: Client, wanted: str, limit: int, *, as_json: bool) -> int:
    """Print cases, newest first."""
    answer = client.get(f"/ops/cases?limit={limit}&status={wanted}")
    if as_json:
        put_json(answer)
        return DONE
    shown = Table(box=None, pad_edge=False)
    for column in LIST_COLUMNS:
        shown.add_column(column.replace("_", " "), no_wrap=column == "case_id")
    for case in answer["cases"]:
        shown.add_row(*(str(case[column] or "") for column in LIST_COLUMNS))
    out.print(shown)
    return DONE


def show(client: Client, case_id: str, *, as_json: bool) -> int:
    """Print one case with its steps."""
    return _print(client.get(f"/ops/cases/{case_id}"), as_json=as_json)


def cancel(client: Client, case_id: str, *, as_json: bool) -> int:
    """Stop a case."""
    return _print(client.post(f"/ops/cases/{case_id}/cancel"), as_json=as_json)


def watch(client: Client, case_id: str, timeout_s: float, *, as_json: bool) -> int:
    """Follow a case; `DONE` when it has a report, `REFUSED` when it was stopped."""

    def read() -> tuple[str, list[progress_view.Step]]:
        case = client.get(f"/ops/cases/{case_id}")
        return case["status"], case["steps"]

    ended = progress_view.follow(read, progress, timeout_s)
    if ended is None:
        raise CliError(f"no report after {timeout_s:.0f} s; look at `dxmesh case show`", LATE)
    _print(client.get(f"/ops/cases/{case_id}"), as_json=as_json)
    return DONE if ended == "completed" else REFUSED


def _print(case: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        put_json(case)
        return DONE
    for key in ("case_id", "status", "reason", "message", "priority", "received", "due", "report"):
        if case[key]:
            out.print(Text(f"{key.replace('_', ' '):<10} {case[key]}"))
    out.print(progress_view.table(case["steps"]))
    return DONE
