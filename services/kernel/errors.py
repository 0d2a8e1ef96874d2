"""Errors that carry facts. Domain code raises them; only an edge translates them.

Each type states its FHIR IssueType (`issue`), the gRPC status edges answer with
(`grpc_status`), and whether trying again can help (`retry_after_s`).
No message may hold anything that identifies a patient: messages reach logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


class MeshError(Exception):
    """Anything the mesh refuses or cannot do; `facts` are the numbers that show it."""

    issue: ClassVar[str] = "exception"
    """FHIR IssueType code, http://hl7.org/fhir/R4/valueset-issue-type.html."""
    grpc_status: ClassVar[str] = "INTERNAL"
    """Name of a grpc.StatusCode."""
    retry_after_s: float | None = None
    """Seconds after which trying again can help; None: it cannot."""

    def __init__(self, message: str, *, reason: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or reason_of(type(self))
        self.facts: dict[str, str] = {name: str(value) for name, value in facts.items()}


def reason_of(kind: type[BaseException]) -> str:
    """Return the class name as a stable UPPER_SNAKE_CASE reason."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__.lstrip("_")).upper()


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong in the input: where (a path or FHIRPath expression) and what."""

    path: str
    problem: str


def first_of(violations: Sequence[Violation], bytes_max: int) -> list[Violation]:
    """Return the first violations, as many as fit; the last says how many more there are."""
    kept: list[Violation] = []
    size = 0
    for violation in violations:
        size += 8 + len(violation.path.encode()) + len(violation.problem.encode())
        if kept and size > bytes_max:
            more = f"{kept[-1].problem} (and {len(violations) - len(kept)} more problems)"
            return [*kept[:-1], Violation(kept[-1].path, more)]
        kept.append(violation)
    return kept


class InvalidInput(MeshError):
    """The input is wrong; sending it again unchanged cannot help."""

    issue = "invalid"
    grpc_status = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, violations: Sequence[Violation] = (), *, reason: str = "", **facts: str
    ) -> None:
        super().__init__(message, reason=reason, **facts)
        self.violations = list(violations)


class TooLarge(InvalidInput):
    """The input is over a stated limit."""

    issue = "too-costly"
    grpc_status = "OUT_OF_RANGE"


class NotFound(MeshError):
    """There is no such thing, or the caller may not know of it."""

    issue = "not-found"
    grpc_status = "NOT_FOUND"


class Forbidden(MeshError):
    """The caller or the subject's consent does not allow it."""

    issue = "forbidden"
    grpc_status = "PERMISSION_DENIED"


class Unauthenticated(MeshError):
    """The caller did not say who it is, or could not prove it."""

    issue = "login"
    grpc_status = "UNAUTHENTICATED"


class Conflict(MeshError):
    """The state has moved on; read it again."""

    issue = "conflict"
    grpc_status = "ABORTED"


class Precondition(MeshError):
    """Something must be done first; the message says what."""

    issue = "business-rule"
    grpc_status = "FAILED_PRECONDITION"


class Unavailable(MeshError):
    """A peer, the bus, a store or the inference server is away for now."""

    issue = "transient"
    grpc_status = "UNAVAILABLE"
    retry_after_s = 2.0


class Busy(Unavailable):
    """As much is under way here as fits; the request was not looked at."""

    grpc_status = "RESOURCE_EXHAUSTED"


class KeyDestroyed(MeshError):
    """The key of a scope was destroyed: its content is gone for good."""

    issue = "deleted"
    grpc_status = "NOT_FOUND"


class Damaged(MeshError):
    """Stored content does not pass its integrity check."""

    issue = "incomplete"
    grpc_status = "DATA_LOSS"


class RemoteError(MeshError):
    """A peer answered with a lasting error; its reason and facts are kept."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        grpc_status: str,
        facts: Mapping[str, str],
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message, reason=reason)
        self.facts = dict(facts)
        self.grpc_status = grpc_status  # type: ignore[misc]  # this one instance stands for a peer's
        self.issue = ISSUE_BY_STATUS.get(grpc_status, "exception")  # type: ignore[misc]  # likewise
        self.violations = list(violations)


ISSUE_BY_STATUS = {
    kind.grpc_status: kind.issue
    for kind in (InvalidInput, TooLarge, NotFound, Forbidden, Unauthenticated, Conflict)
} | {Precondition.grpc_status: Precondition.issue, Damaged.grpc_status: Damaged.issue}


OUTAGES: list[type[BaseException]] = [OSError, TimeoutError]
"""Errors of libraries that mean "away for now"; `kernel.database` adds the driver's."""

OUTAGE_SIGNS: list[Callable[[BaseException], bool]] = []
"""Ways to see it in an error that has no type of its own; `kernel.database` adds one."""


def as_outage(error: BaseException) -> MeshError | None:
    """Return `Unavailable` for a library's error that means "away for now", else None."""
    if not isinstance(error, tuple(OUTAGES)) and not any(sign(error) for sign in OUTAGE_SIGNS):
        return None
    return Unavailable(f"something this step needs is away ({type(error).__name__})")


def is_passing(error: BaseException) -> bool:
    """Tell whether trying again later can help: a MeshError says so, others are unexpected.

    An unexpected error is retried a few times (it may be a race or a lost connection)
    before the bus gives up on the message.
    """
    return error.retry_after_s is not None if isinstance(error, MeshError) else True
