"""Where a case stands, step by step, and the FHIR Task that says so. Pure.

Events of a case come from several queues and may arrive in any order and more than once,
so every change is a merge that gives the same result in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_ZH, CaseRef

from services.kernel.subjects import priority_name

ENDED = frozenset({"completed", "rejected", "cancelled", "failed"})
STOPPED = frozenset({"rejected", "cancelled", "failed"})
STEP_ORDER = (
    "received",
    "deidentified",
    "imaging",
    "labs",
    "nlp",
    "composed",
    "committed",
    "signed",
)
_RANK = {"": 0, "waiting": 1, "running": 2, "failed": 3, "declined": 3, "done": 4}

REASONS = "urn:dxmesh:reason"
STEPS_SYSTEM = "urn:dxmesh:step"
STATE_EXTENSION = "urn:dxmesh:step-state"
PROFILE = "urn:dxmesh:fhir:StructureDefinition:case"

JOINED = ("corrected", "corrects")
"""What joins a case to others in its label; see `corrections`."""

IMAGES_AWAITED = "IMAGES_AWAITED"
"""Reason of a problem that passes: ingest waits for images (docs/guides/receiving.md)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step; times in µs since 1970, 0 while unknown."""

    name: str
    state: str
    """waiting, running, done, declined or failed."""
    started_us: int = 0
    finished_us: int = 0
    reason: str = ""

    def merged(self, other: Step) -> Step:
        """Return what both say together; the further one wins, the earliest start is kept."""
        further = other if _RANK[other.state] > _RANK[self.state] else self
        starts = [us for us in (self.started_us, other.started_us) if us]
        return replace(further, started_us=min(starts, default=0))


@dataclass(frozen=True, slots=True)
class Case:
    """Everything the gateway knows of a case but the report itself."""

    tenant: str
    case_id: str
    status: str = "requested"
    """FHIR Task status."""
    reason: str = ""
    message: str = ""
    priority: int = 0
    language: int = 0
    received_us: int = 0
    due_us: int = 0
    subject_key: str = ""
    report_version: int = 0
    """Version of the report that is shown; 0: none yet."""
    signed_version: int = 0
    held_version: int = 0
    """Version that came after the signature and waits for one; 0: none."""
    updated_us: int = 0
    steps: dict[str, Step] = field(default_factory=dict)
    label: dict[str, Any] = field(default_factory=dict)
    """What the worklist shows: patient, order, counts of what is abnormal."""

    @property
    def stopped(self) -> bool:
        """Whether it ended without a report."""
        return self.status in STOPPED

    def signed_us(self, version: int) -> int:
        """Return when the signature under a version was given, µs; 0: it has none."""
        step = self.steps.get("signed")
        return step.finished_us if step and version == self.signed_version else 0

    @property
    def current_step(self) -> str:
        """Return the step the case is at, or the last one."""
        running = [s for s in self.ordered() if s.state in ("waiting", "running")]
        done = [s for s in self.ordered() if s not in running]
        return (running or done[-1:] or [Step("received", "waiting")])[0].name

    def ordered(self) -> list[Step]:
        """Return the steps in the order of the way."""
        return sorted(self.steps.values(), key=lambda s: (_place(s.name), s.name))


def known(case: Case, ref: CaseRef) -> Case:
    """Return the case with what its events carry."""
    return replace(
        case,
        priority=ref.priority or case.priority,
        language=ref.language or case.language,
        received_us=to_us(ref.received_time) or case.received_us,
        due_us=to_us(ref.due_time) or case.due_us,
    )


def with_step(case: Case, step: Step) -> Case:
    """Return the case after a step was heard of; a case that was stopped stays so."""
    before = case.steps.get(step.name)
    steps = {**case.steps, step.name: before.merged(step) if before else step}
    status = case.status
    if status in ("requested", "accepted"):
        status = "accepted" if step.name == "received" else "in-progress"
    return replace(case, steps=steps, status=status)


def stop(case: Case, status: str, reason: str, message: str) -> Case:
    """Return the case ended without a report; what identifies the patient is dropped.

    One that has a report stays: the report is part of the record by then.
    """
    if case.status in ENDED:
        return case
    return replace(case, status=status, reason=reason, message=message, label={})


def task(case: Case) -> dict[str, Any]:
    """Return the FHIR R4 Task of a case."""
    resource: dict[str, Any] = {
        "resourceType": "Task",
        "id": case.case_id,
        "meta": {"profile": [PROFILE]},
        "identifier": [{"system": "urn:dxmesh:case", "value": case.case_id}],
        "status": case.status,
        "businessStatus": {
            "coding": [{"system": STEPS_SYSTEM, "code": _kind(case.current_step)}],
            "text": case.current_step,
        },
        "intent": "order",
        "priority": priority_name(case.priority),
        "code": {
            "coding": [{"system": "urn:dxmesh:task", "code": "analyse-case"}],
            "text": "AI analysis of a case, for reference only",
        },
    }
    if case.reason:
        coding = [{"system": REASONS, "code": case.reason}]
        resource["statusReason"] = {"coding": coding, "text": case.message or case.reason}
    if case.label.get("based_on"):
        resource["basedOn"] = [{"reference": case.label["based_on"]}]
    if case.label.get("patient_reference"):
        resource["for"] = {"reference": case.label["patient_reference"]}
    if case.received_us:
        resource["authoredOn"] = to_instant(case.received_us)
    if case.due_us:
        resource["restriction"] = {"period": {"end": to_instant(case.due_us)}}
    outputs = [_output(step) for step in case.ordered() if step.started_us or step.finished_us]
    if case.label.get("report"):
        kind = {"coding": [{"system": "urn:dxmesh:output", "code": "report"}]}
        outputs.append({"type": kind, "valueReference": {"reference": case.label["report"]}})
    problems = case.label.get("problems", [])
    if len(case.steps) > 1:  # it has begun: what it waited for came, or is named in the report
        problems = [each for each in problems if each["reason"] != IMAGES_AWAITED]
    outputs += [_problem(problem) for problem in problems]
    outputs += [_joined(name, each) for name in JOINED for each in case.label.get(name, [])]
    if outputs:
        resource["output"] = outputs
    return resource


def case_ref(case: Case) -> CaseRef:
    """Return the case as its events carry it."""
    ref = CaseRef(tenant=case.tenant, case_id=case.case_id)
    ref.priority, ref.language = case.priority, case.language  # type: ignore[assignment]  # enum numbers
    ref.received_time.FromMicroseconds(case.received_us)
    ref.due_time.FromMicroseconds(case.due_us)
    return ref


def language_tag(language: int) -> str:
    """Return "zh" or "en" for a `case_ref.Language`."""
    return "zh" if language == LANGUAGE_ZH else "en"


def to_instant(us: int) -> str:
    """Return a FHIR instant, UTC, milliseconds."""
    moment = datetime.fromtimestamp(us / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_us(timestamp: Any) -> int:
    """Return a protobuf Timestamp in µs; 0 when it is not set."""
    return int(timestamp.seconds * 1_000_000 + timestamp.nanos // 1000)


def _output(step: Step) -> dict[str, Any]:
    period: dict[str, Any] = {
        "extension": [{"url": STATE_EXTENSION, "valueCode": step.state}],
    }
    if step.started_us:
        period["start"] = to_instant(step.started_us)
    if step.finished_us:
        period["end"] = to_instant(step.finished_us)
    kind = {"coding": [{"system": STEPS_SYSTEM, "code": _kind(step.name)}], "text": step.name}
    if step.reason:
        kind["coding"].append({"system": REASONS, "code": step.reason})  # type: ignore[attr-defined]
    return {"type": kind, "valuePeriod": period}


def _problem(problem: dict[str, str]) -> dict[str, Any]:
    """Return an output that names content which could not be used."""
    coding = [
        {"system": "urn:dxmesh:output", "code": "not-used"},
        {"system": REASONS, "code": problem["reason"]},
    ]
    return {
        "type": {"coding": coding, "text": problem["message"]},
        "valueString": problem["source"],
    }


def _joined(name: str, entry: dict[str, str]) -> dict[str, Any]:
    """Return an output that names another case with the same result, corrected."""
    coding = [{"system": "urn:dxmesh:output", "code": name}]
    return {
        "type": {"coding": coding, "text": f"a result that was {entry['kind']}"},
        "valueReference": {"reference": f"Task/{entry['case']}"},
    }


def _kind(name: str) -> str:
    """Return the step's kind: that of part "imaging-1" is "imaging"."""
    return name.partition("-")[0]


def _place(name: str) -> int:
    kind = _kind(name)
    return STEP_ORDER.index(kind) if kind in STEP_ORDER else len(STEP_ORDER)
