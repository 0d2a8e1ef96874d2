"""`dxmesh status` and `dxmesh case …`: what an operator sees of cases. No identity in it."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from services.cli import progress_view
from services.cli.answers import (
    DONE,
    LATE,
    REFUSED,
    USAGE,
    CliError,
    out,
    progress,
    put_json,
    put_line,
    put_rows,
)
from services.cli.client import Client

STOPPED = ("rejected", "cancelled", "failed")
STATUSES = ("requested", "accepted", "in-progress", "completed", *STOPPED)
LIST_COLUMNS = ("case id", "state", "priority", "received, UTC", "reason")


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
        critical = answer.get("critical", {"unread": 0})
        if critical["unread"]:
            minutes = int(critical["oldest_s"] // 60)
            text = f"critical results nobody has read: {critical['unread']}, for {minutes} min"
            out.print(Text(text, "red"))
        writes = answer.get("ehr_writes", {"waiting": 0, "failed": 0})
        if writes["waiting"] or writes["failed"]:
            waiting, failed = writes["waiting"], writes["failed"]
            text = f"reports on their way to the EHR: {waiting}; given up: {failed} (/ops/ehr)"
            out.print(Text(text, "red" if failed else ""))
        for one in answer.get("subscriptions", []):
            out.print(_subscription(one), highlight=False)
    return DONE if answer["healthy"] else REFUSED


def _subscription(one: dict[str, Any]) -> Text:
    """Return what an operator must know of an endpoint that does not take its events."""
    failing = f"fails for {one['failing_s']:.0f} s ({one['reason']})" if one["failing_s"] else ""
    told = f"subscription {one['id']} to {one['host']}: {one['status']}"
    parts = [told, *([failing] if failing else []), f"{one['waiting']} events wait"]
    return Text(", ".join(parts), "red" if one["status"] == "error" else "")


def list_cases(client: Client, wanted: str, limit: int, *, as_json: bool) -> int:
    """Print cases, newest first."""
    if wanted not in ("", *STATUSES):
        raise CliError(f"status {wanted!r} is none of {', '.join(STATUSES)}", USAGE)
    answer = client.get(f"/ops/cases?limit={limit}&status={wanted}")
    if as_json:
        put_json(answer)
        return DONE
    put_rows(LIST_COLUMNS, [_row(case) for case in answer["cases"]])
    return DONE


def _row(case: dict[str, Any]) -> list[str]:
    """Return a case as a line of 80 columns: a step while it is on its way, else how it ended."""
    state = case["status"] if case["status"] in STOPPED else case["step"]
    received = str(case["received"] or "").replace("T", " ")[:16]
    return [case["case_id"], state, case["priority"] or "", received, case["reason"] or ""]


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
            put_line(Text(f"{key.replace('_', ' '):<10} {case[key]}"))
    out.print(progress_view.table(case["steps"]))
    return DONE
