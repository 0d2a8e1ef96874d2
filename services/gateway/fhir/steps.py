"""The changing entries of a transaction: what each is about, before anything is stored."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir import bundles, content, matching, writes
from services.gateway.fhir.bundles import Asked
from services.gateway.fhir.search.query import Query
from services.gateway.fhir.writes import Draft
from services.gateway.store.resources import Stored
from services.gateway.store.writing import Writing
from services.kernel.errors import InvalidInput, MeshError, NotFound, Violation

Json = dict[str, Any]


@dataclass(slots=True)
class Step:
    """One changing entry, and what becomes of it."""

    asked: Asked
    kind: str
    id: str = ""
    condition: str = ""
    """Which resource is meant, as a query; empty: the id says it, or it is a new one."""
    query: Query | None = None
    """The condition, read."""
    stored: Stored | None = None
    """What it led to, or the resource that was there already."""
    created: bool = False
    draft: Draft | None = None
    done: bool = False
    """Whether nothing is left to be stored."""
    warnings: list[Violation] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        """Type and id."""
        return self.kind, self.id


def read(call: Call, asked: Asked) -> Step:
    kind, resource_id = bundles.instance(asked)
    step = Step(asked, kind, content.id_of(resource_id, kind) if resource_id else "")
    wrong = ""
    if asked.method == "POST":
        text = matching.none_exist(call, kind, asked.headers.get("if-none-exist", ""), asked.query)
        wrong = "must be a resource type" if resource_id else ""
    else:
        text = "" if resource_id else asked.query
        wrong = "" if resource_id or asked.query else "must name a resource"
    if wrong:
        raise refused(Violation(f"{asked.at}.request.url", wrong))
    if text:
        step.condition, step.query = text, matching.condition(call, kind, text)
    return step


async def prepare(call: Call, step: Step) -> None:
    """Check an entry's content before the lock is taken."""
    asked = step.asked
    if asked.method not in ("POST", "PUT") or asked.resource is None:
        return
    resource = asked.resource
    if resource["resourceType"] != step.kind:
        raise refused(Violation(f"{asked.at}.resource", f"must be a {step.kind}, as in its url"))
    if asked.method == "PUT" and step.id and resource.get("id") != step.id:
        raise refused(Violation(f"{asked.at}.resource.id", "must be the id in its url"))
    if asked.method == "POST":
        resource = {k: v for k, v in resource.items() if k != "id"}
    elif "id" in resource:
        content.id_of(str(resource["id"]), step.kind)
    letter = "c" if asked.method == "POST" else "u"
    draft = Draft(step.kind, resource, method=asked.method, letter=letter)
    step.draft = await at(step, writes.prepare(call, draft))
    step.warnings = draft.warnings


async def identify(
    call: Call, writing: Writing, steps: Sequence[Step], deletions: Sequence[Step]
) -> None:
    """Give every entry the id of the resource it is about; refuse two about the same."""
    made: dict[tuple[str, str], Step] = {}
    for step in steps:
        if step.query:
            with told(step.asked.at):
                await _by_condition(call, writing, step, made)
        if not step.id:
            own = (step.draft.resource if step.draft else {}).get("id")
            step.id = str(own or uuid.uuid4())
    taken = {step.key: step for step in deletions}
    for step in steps:
        if step.done:  # a conditional create that found its resource changes nothing
            continue
        if step.key in taken:
            raise refused(
                Violation(
                    f"{step.asked.at}.request", f"the same resource as {taken[step.key].asked.at}"
                )
            )
        taken[step.key] = step


async def _by_condition(
    call: Call, writing: Writing, step: Step, made: dict[tuple[str, str], Step]
) -> None:
    """Find the resource that an entry's condition means: stored, or `made` by an entry before."""
    if (query := step.query) is None:
        return
    found = await matching.one(call, writing, step.kind, query)
    first = made.setdefault((step.kind, step.condition), step)
    if step.asked.method == "POST":
        if found:
            step.id, step.done = found[1], True
            step.stored = await writing.current(*found)
        elif first is not step:
            step.id, step.done = first.id, True
        return
    if found is None and first is not step:
        raise refused(Violation(f"{step.asked.at}.request", f"the same as {first.asked.at}"))
    own = step.draft.resource.get("id") if step.draft else None
    if found:
        if own is not None and own != found[1]:
            raise refused(Violation(f"{step.asked.at}.resource.id", "must be that of the match"))
        step.id = found[1]
    elif step.asked.method == "PATCH":
        raise NotFound("no resource meets the condition")
    elif own is not None:
        there = await writing.current(step.kind, str(own))
        if there and not there.deleted:
            raise matching.taken(step.kind)


async def at(step: Step, work: Any) -> Any:
    """Run an entry's work; what it raises says which entry it was."""
    with told(step.asked.at):
        return await work


class told:
    """Says in an error which entry it is about."""

    def __init__(self, place: str) -> None:
        self._at = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, InvalidInput) and error.violations:
            error.violations = [
                v if v.path.startswith("Bundle.") else Violation(f"{self._at}: {v.path}", v.problem)
                for v in error.violations
            ]
        elif isinstance(error, MeshError):
            error.message = f"{self._at}: {error.message}"


def refused(*problems: Violation) -> InvalidInput:
    return InvalidInput("the transaction cannot be done", problems, reason="BAD_REQUEST")
