"""The worklist: what to read next. Stat before urgent before routine, then by due time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from services.gateway import corrections
from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.fhir.submission import describe
from services.gateway.progress import STOPPED, Case, to_instant
from services.gateway.web import critical, pages, sight
from services.gateway.web.critical import Told
from services.kernel.subjects import priority_name

FILTERS = ("open", "ready", "signed", "stopped", "all")
LIMIT = 200
NO_BADGES = {"critical": 0, "findings": 0, "abnormal": 0, "missing": 0}


@dataclass(frozen=True, slots=True)
class Row:
    """One case as the worklist shows it."""

    case: Case
    priority: str
    state: str
    """waiting, ready, held (a later version waits), signed or stopped."""
    patient: dict[str, str]
    order: str
    badges: dict[str, int]
    received: str
    due: str
    due_minutes: int
    """Minutes until the report is due; negative when it is overdue."""
    unread_minutes: int | None
    """Since the first critical result was sent that nobody has read; None: there is none."""


async def home(call: Call) -> Response:
    """Go to the worklist."""
    return RedirectResponse("/worklist", 303)


async def worklist(call: Call) -> Response:
    """Show the page."""
    chosen = _filter(call)
    found = await _rows(call, chosen)
    return pages.render(
        call.request, "worklist.html", call=call, rows=found, chosen=chosen, filters=FILTERS
    )


async def rows(call: Call) -> Response:
    """Return the rows alone, for the page to refresh itself."""
    chosen = _filter(call)
    found = await _rows(call, chosen)
    return pages.render(call.request, "worklist_rows.html", call=call, rows=found, chosen=chosen)


def _filter(call: Call) -> str:
    chosen = call.request.query_params.get("show", "open")
    return chosen if chosen in FILTERS else "open"


async def _rows(call: Call, chosen: str) -> list[Row]:
    cases = await sight.cases(call, await call.store.cases.latest(call.tenant, limit=LIMIT))
    await call.audit("worklist", "Task", query=trail.query_of(call.request))
    return await rows_of(call, cases, chosen)


async def rows_of(call: Call, cases: Sequence[Case], chosen: str) -> list[Row]:
    """Return those cases that a filter shows as rows, in their order."""
    now_us, told = time.time_ns() // 1000, await critical.of_cases(call, cases)
    made = [make_row(case, now_us, told.get(case.case_id, ())) for case in cases]
    return ordered([row for row in made if shown(row, chosen)])


def make_row(case: Case, now_us: int, told: Sequence[Told] = ()) -> Row:
    """Return a case, and what was told of it, as a row."""
    state = "waiting"
    if case.status in STOPPED:
        state = "stopped"
    elif case.held_version:
        state = "held"
    elif case.signed_version:
        state = "signed"
    elif case.report_version:
        state = "ready"
    minutes = (case.due_us - now_us) // 60_000_000 if case.due_us else 0
    return Row(
        case,
        priority_name(case.priority),
        state,
        case.label.get("patient") or describe({}),
        str(case.label.get("order", "")),
        NO_BADGES | _badges(case.label),
        to_instant(case.received_us) if case.received_us else "",
        to_instant(case.due_us) if case.due_us else "",
        minutes,
        max((each.minutes for each in told if each.unread), default=None),
    )


def _badges(label: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a case; until 0.1 findings were nodules alone."""
    found = corrections.badges(label)
    older = found.pop("nodules", None)
    return ({"findings": older} if older else {}) | found


def shown(row: Row, chosen: str) -> bool:
    """Tell whether a filter shows a row."""
    if chosen == "all":
        return True
    if chosen == "open":
        return row.state in ("waiting", "ready", "held") or row.unread_minutes is not None
    return row.state in {"ready": ("ready", "held")}.get(chosen, (chosen,))


def ordered(found: list[Row]) -> list[Row]:
    """Return rows: unread critical results, what can be read, then by priority and due time."""
    rank = {"stat": 0, "urgent": 1, "routine": 2}
    ready = ("ready", "held")

    def key(row: Row) -> tuple[int, bool, int, bool, int]:
        found = bool(row.badges.get("critical"))
        unread = 0 if row.unread_minutes is None else -1 - row.unread_minutes
        return unread, row.state not in ready, rank[row.priority], not found, row.case.due_us

    return sorted(found, key=key)
