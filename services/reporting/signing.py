"""What a signature needs: the current version, not locked, a verdict on every finding."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dxmesh.event.v1.feedback_given_pb2 import VERDICT_EDIT, VERDICT_UNSPECIFIED, Verdict
from dxmesh.reporting.v1.reporting_service_pb2 import FindingVerdict

from services.kernel.errors import Conflict, InvalidInput, Violation

TEXT_CHARS_MAX = 8_000
"""Longest correction or comment, Unicode code points."""


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


def _problems(path: str, verdict: FindingVerdict) -> list[Violation]:
    found: list[Violation] = []
    known = set(Verdict.values()) - {VERDICT_UNSPECIFIED}
    if verdict.verdict not in known:
        found.append(Violation(f"{path}.verdict", "must be agree, disagree or edit"))
    if (verdict.verdict == VERDICT_EDIT) != bool(verdict.correction.strip()):
        found.append(Violation(f"{path}.correction", "goes with the verdict edit, and only then"))
    for name, text in (("correction", verdict.correction), ("comment", verdict.comment)):
        if len(text) > TEXT_CHARS_MAX:
            found.append(Violation(f"{path}.{name}", f"longer than {TEXT_CHARS_MAX} characters"))
    return found
