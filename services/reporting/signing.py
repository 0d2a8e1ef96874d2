"""What a signature needs: the current version, not locked, a verdict on every finding."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from dxmesh.event.v1.feedback_given_pb2 import (
    SHAPE_BOX,
    SHAPE_ELLIPSE,
    VERDICT_AGREE,
    VERDICT_DISAGREE,
    VERDICT_EDIT,
    Marking,
)
from dxmesh.reporting.v1.reporting_service_pb2 import AddedFinding, FindingVerdict

from services.kernel.errors import Conflict, InvalidInput, Violation

TEXT_CHARS_MAX = 8_000
"""Longest correction or comment, Unicode code points."""
ADDED_MAX = 100
KINDS = frozenset(("nodule", "haemorrhage", "fracture", "tumour", "other"))
"""What a finding that a physician adds may be."""
PIXELS_MAX = 1_000_000
_UID = re.compile(r"[0-9.]{1,64}")


class ReportMovedOn(Conflict):
    """The physician saw another version than the current one."""


class ReportLocked(Conflict):
    """This version carries a signature; a change is an amendment that names it."""


class NotReviewed(InvalidInput):
    """The verdicts do not fit the findings of the report; `violations` names each."""


def check_version(asked: int, current: int) -> None:
    """Raise `ReportMovedOn` unless the physician saw the current version."""
    if asked != current:
        raise ReportMovedOn(
            f"version {current} is current, version {asked} was reviewed",
            current=current,
            reviewed=asked,
        )


def check_verdicts(verdicts: Sequence[FindingVerdict], findings: Collection[str]) -> None:
    """Raise `NotReviewed` unless there is one usable verdict for each finding."""
    violations: list[Violation] = []
    seen: set[str] = set()
    for number, verdict in enumerate(verdicts):
        path = f"verdicts[{number}]"
        if verdict.finding_id not in findings:
            violations.append(Violation(f"{path}.finding_id", "no such finding in the report"))
        if verdict.finding_id in seen:
            violations.append(Violation(f"{path}.finding_id", "a second verdict on one finding"))
        seen.add(verdict.finding_id)
        violations += _problems(path, verdict)
    missing = [finding for finding in findings if finding not in seen]
    violations += [Violation("verdicts", f"no verdict on finding {each}") for each in missing]
    if violations:
        raise NotReviewed(f"{len(violations)} problem(s) in the verdicts", violations)


def check_added(added: Sequence[AddedFinding]) -> None:
    """Raise `NotReviewed` unless each finding that was added can be learned from."""
    violations: list[Violation] = []
    if len(added) > ADDED_MAX:
        violations.append(Violation("added", f"more than {ADDED_MAX} findings"))
    if len({one.added_id for one in added}) != len(added):
        violations.append(Violation("added", "two findings of one id"))
    for number, one in enumerate(added[:ADDED_MAX]):
        path = f"added[{number}]"
        if not re.fullmatch(r"added-[0-9]{1,3}", one.added_id):
            violations.append(Violation(f"{path}.added_id", "is added-1 and so on"))
        if one.kind not in KINDS:
            violations.append(Violation(f"{path}.kind", "is no kind of finding"))
        if len(one.text) > TEXT_CHARS_MAX:
            violations.append(Violation(f"{path}.text", f"over {TEXT_CHARS_MAX} characters"))
        violations += _marking_problems(f"{path}.marking", one.marking)
    if violations:
        raise NotReviewed(f"{len(violations)} problem(s) in what was added", violations)


def _problems(path: str, verdict: FindingVerdict) -> list[Violation]:
    found: list[Violation] = []
    if verdict.verdict not in (VERDICT_AGREE, VERDICT_DISAGREE, VERDICT_EDIT):
        found.append(Violation(f"{path}.verdict", "must be agree, disagree or edit"))
    marked = verdict.HasField("marking")
    corrected = bool(verdict.correction.strip()) or marked
    if (verdict.verdict == VERDICT_EDIT) != corrected:
        problem = "goes with the verdict edit, and only then, unless a marking does"
        found.append(Violation(f"{path}.correction", problem))
    if marked:
        found += _marking_problems(f"{path}.marking", verdict.marking)
    for name, text in (("correction", verdict.correction), ("comment", verdict.comment)):
        if len(text) > TEXT_CHARS_MAX:
            found.append(Violation(f"{path}.{name}", f"longer than {TEXT_CHARS_MAX} characters"))
    return found


def _marking_problems(path: str, marking: Marking) -> list[Violation]:
    found: list[Violation] = []
    if marking.shape not in (SHAPE_BOX, SHAPE_ELLIPSE):
        found.append(Violation(f"{path}.shape", "must be a box or an ellipse"))
    for name in ("series_instance_uid", "sop_instance_uid"):
        if not _UID.fullmatch(getattr(marking, name)):
            found.append(Violation(f"{path}.{name}", "is no UID"))
    across = 0 <= marking.left < marking.right <= PIXELS_MAX
    down = 0 <= marking.top < marking.bottom <= PIXELS_MAX
    if not (across and down) or marking.frame < 0:
        found.append(Violation(path, "does not lie on an image"))
    return found
