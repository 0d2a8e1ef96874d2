"""Cases and dead letters as an operator sees them. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from services.gateway.progress import Case, language_tag, to_instant
from services.kernel.deadletters import DeadLetter
from services.kernel.subjects import priority_name


def case_summary(case: Case, now_us: int) -> dict[str, Any]:
    """Return a case in one line: nothing of `label`, which names the patient."""
    return {
        "case_id": case.case_id,
        "status": case.status,
        "step": case.current_step,
        "reason": case.reason,
        "message": case.message,
        "priority": priority_name(case.priority),
        "language": language_tag(case.language),
        "received": _instant(case.received_us),
        "due": _instant(case.due_us),
        "updated": _instant(case.updated_us),
        "overdue": bool(case.due_us and now_us > case.due_us and not case.report_version),
        "report_version": case.report_version,
        "signed_version": case.signed_version,
        "waiting_version": case.held_version,
    }


def case_detail(case: Case, now_us: int) -> dict[str, Any]:
    """Return a case with its steps; durations in seconds."""
    report = f"{case.label['report']}" if case.label.get("report") else ""
    return case_summary(case, now_us) | {
        "report": report,
        "steps": [
            {
                "step": step.name,
                "state": step.state,
                "started": _instant(step.started_us),
                "finished": _instant(step.finished_us),
                "seconds": _seconds(step.started_us, step.finished_us),
                "reason": step.reason,
            }
            for step in case.ordered()
        ],
    }


def dead_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter."""
    return asdict(letter)


def _instant(us: int) -> str | None:
    return to_instant(us) if us else None


def _seconds(started_us: int, finished_us: int) -> float | None:
    return round((finished_us - started_us) / 1e6, 3) if started_us and finished_us else None
