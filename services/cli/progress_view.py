"""The steps of a case as a table, and a line for each step that changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

STATE_EXTENSION = "urn:dxmesh:step-state"
REASONS = "urn:dxmesh:reason"
ENDED = frozenset({"completed", "rejected", "cancelled", "failed"})
POLL_S = 0.3
_STYLES = {"done": "green", "running": "yellow", "failed": "red", "declined": "magenta"}

Step = dict[str, Any]


def of_task(task: dict[str, Any]) -> list[Step]:
    """Return the steps a FHIR Task states, as `/ops/cases/{id}` has them but for durations."""
    return list(_task_steps(task))


def _task_steps(task: dict[str, Any]) -> Iterator[Step]:
    for output in task.get("output", []):
        period = output.get("valuePeriod")
        if period is None:
            continue
        states = [x["valueCode"] for x in period["extension"] if x["url"] == STATE_EXTENSION]
        codings = output["type"]["coding"]
        yield {
            "step": output["type"]["text"],
            "state": states[0],
            "reason": next((c["code"] for c in codings if c["system"] == REASONS), ""),
            "started": period.get("start"),
            "finished": period.get("end"),
        }


def table(steps: list[Step]) -> Table:
    """Return the steps with the time each took."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("step", "state", "seconds", "reason"):
        shown.add_column(heading, justify="right" if heading == "seconds" else "left")
    for step in steps:
        seconds = step.get("seconds")
        style = _STYLES.get(step["state"], "")
        took = "" if seconds is None else f"{seconds:.2f}"
        shown.add_row(step["step"], Text(step["state"], style), took, step["reason"])
    return shown


def follow(
    read: Callable[[], tuple[str, list[Step]]],
    say: Callable[[str], None],
    timeout_s: float,
) -> str | None:
    """Poll until the case ended; return its status, or None when the time is up.

    `read` returns status and steps; `say` is told each change of a step.
    """
    until = time.monotonic() + timeout_s
    seen: dict[str, str] = {}
    while True:
        status, steps = read()
        for step in steps:
            if seen.get(step["step"]) != step["state"]:
                seen[step["step"]] = step["state"]
                reason = f" ({step['reason']})" if step["reason"] else ""
                say(f"{step['step']:<14} {step['state']}{reason}")
        if status in ENDED:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(POLL_S)
