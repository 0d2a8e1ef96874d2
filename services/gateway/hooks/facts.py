"""What the store knows of a patient's cases, as cards need it. Pure.

`store.hooks` gathers it; nothing here is computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway import corrections
from services.gateway.hooks.orders import Examination, examination
from services.gateway.progress import ENDED, Case


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case of the patient."""

    case_id: str
    order: str
    """What was ordered, in the hospital's words; may be empty."""
    examination: Examination | None
    report: str
    """Reference of the DiagnosticReport; empty: none yet."""
    time_us: int
    """When the report came; of a running case, when it was received."""
    due_us: int
    signed: bool
    held: bool
    """A version that came after the signature waits for one of its own."""
    running: bool
    counts: Mapping[str, int]
    """critical, abnormal, findings, missing: as the worklist shows them."""
    conclusion: tuple[str, ...] = ()
    """Lines of the report, as its reader meets them."""

    @property
    def waits(self) -> bool:
        """Whether a physician's review is outstanding."""
        return bool(self.report) and (not self.signed or self.held)

    @property
    def critical(self) -> int:
        """How many critical results wait for a reader."""
        return self.counts.get("critical", 0) if self.waits else 0


def of_case(
    case: Case, order: Mapping[str, Any] | None, report: Mapping[str, Any] | None
) -> CaseFacts:
    """Return the facts of a case with its ServiceRequest and its DiagnosticReport."""
    badges = corrections.badges(case.label)
    committed = case.steps.get("committed")
    signed = case.steps.get("signed") if case.signed_version else None
    step = signed or committed
    found = examination(order) if order else None
    if found is None and case.label.get("order"):
        found = examination({"code": {"text": case.label["order"]}})
    return CaseFacts(
        case_id=case.case_id,
        order=str(case.label.get("order", "")),
        examination=found,
        report=str(case.label.get("report", "")) if case.report_version else "",
        time_us=(step.finished_us if step else 0) or case.updated_us or case.received_us,
        due_us=case.due_us,
        signed=bool(case.signed_version),
        held=bool(case.held_version),
        running=case.status not in ENDED,
        counts={name: int(badges.get(name, 0)) for name in COUNTS},
        conclusion=tuple(str((report or {}).get("conclusion", "")).split("\n")),
    )


COUNTS = ("critical", "abnormal", "findings", "missing")
